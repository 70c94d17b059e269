"""Plain names of hyperparameters and metrics: "density (on_perc)"."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

from analysis.plots._lib.style import CHARACTER, cut, escape

# Keys whose plain name says more than the key.
HYPERPARAMETERS = {
    "on_perc": "density",
    "model": "method",
    "hidden_sizes": "hidden layers",
    "percent_on": "activation density",
    "kwinners": "k-winners",
    "weight_prune_perc": "drop fraction by magnitude",
    "hebbian_prune_perc": "drop fraction by coactivation",
    "hebbian_grow": "growth by coactivation",
    "pruning_active": "mask updates",
    "pruning_interval": "epochs between mask updates",
    "pruning_interval_steps": "steps between mask updates",
    "prune_decay": "decay of the drop fraction",
    "optim_alg": "optimizer",
    "lr_schedule": "learning-rate schedule",
    "weight_init": "initial weights",
    "dataset_name": "data set",
    "val_fraction": "share held out for validation",
    "config/epochs": "epochs",
    "prune_ratio": "fraction pruned",
    "prune_iter": "rounds of pruning",
    "criterion": "pruning criterion",
    "init": "weights of the ticket",
    "pruning": "kind of pruning",
}
COSTS = {
    "flops_inference": "FLOPs of an inference",
    "flops_train": "FLOPs of the training, per example",
}
PARTS = {"train": "training", "val": "validation", "test": "test", "noise": "noisy test"}
QUANTITIES = {"acc": "accuracy", "loss": "loss", "ece": "calibration error", "r2": "R²", "rmse": "RMSE"}
# The epoch of a summary, in words.
EPOCHS = {
    None: "",
    "_max": ", highest of the epochs",
    "_min": ", lowest of the epochs",
    "_median": ", median of the epochs",
    "_last": " in the last epoch",
    "_at_best": " at the best validation epoch",
}
METRIC = re.compile(r"(train|val|test|noise)_(acc|loss|ece|r2|rmse)(_max|_min|_last|_median|_at_best)?")


@dataclass(frozen=True)
class Names:
    """The plain names of the columns of a DataFrame.

    Args:
        holds_out: True if `val_*` is measured on held-out examples, False if on the test set.
        at_most_one: True if no value of the metric is above 1: an accuracy may be a percentage.
    """

    holds_out: bool = True
    at_most_one: bool = True

    def short(self, column: str) -> str:
        """Return the plain name of a column, such as "density"; the column itself if it has none."""
        match = METRIC.fullmatch(column)
        if match is None:
            return HYPERPARAMETERS.get(column) or COSTS.get(column) or column
        return f"{PARTS['test' if match[1] == 'val' and not self.holds_out else match[1]]} {QUANTITIES[match[2]]}"

    def full(self, column: str) -> str:
        """Return the plain name with the column, "density (on_perc)"; the column alone if it has no plain name."""
        name = self.short(column)
        return column if name == column else f"{name} ({column})"

    def header(self, column: str) -> str:
        """Return the full name on two lines, for the head of a table."""
        return self.full(column).replace(" (", "\n(")

    def with_epoch(self, metric: str) -> str:
        """Return the full name of a metric, with its epoch."""
        match = METRIC.fullmatch(metric)
        if match is None:
            return self.full(metric)
        is_best = match[3] == ("_max" if match[2] in ("acc", "r2") else "_min")
        return f"{self.short(metric)}{' in the best epoch' if is_best else EPOCHS[match[3]]} ({metric})"

    def is_share(self, column: str) -> bool:
        """Return True for a metric that is 1 at most: an accuracy."""
        match = METRIC.fullmatch(column)
        return match is not None and match[2] == "acc" and self.at_most_one

    def setting(self, values: dict[str, str]) -> str:
        """Return values of hyperparameters as text: "density 0.1, method SET"."""
        return ", ".join(f"{self.short(name)} {value}" for name, value in values.items())

    def rename(self, fig: go.Figure) -> None:
        """Give the axes, the legend and the panels of a figure plain names, in place."""
        for axis in fig.select_xaxes():
            axis.title.text = self._all(axis.title.text, self.full) if axis.title.text else None
        height = (fig.layout.height or 0) - (fig.layout.margin.t or 0) - (fig.layout.margin.b or 0)
        for axis in fig.select_yaxes():
            if axis.title.text:
                low, high = axis.domain or (0, 1)
                full = self._all(axis.title.text, self.full)
                has_room = len(full) * CHARACTER <= (high - low) * height
                axis.title.text = full if has_room else self._all(axis.title.text, self.short)
        if fig.layout.legend.title.text:
            fig.layout.legend.title.text = self._all(fig.layout.legend.title.text, lambda name: cut(self.short(name)))
        for note in fig.layout.annotations:
            name, equals, value = (note.text or "").partition("=")
            if equals:
                note.text = f"{escape(self.short(name))} {value}"

    def _all(self, text: str, rename: Callable[[str], str]) -> str:
        """Return a text of columns that are joined by commas or line breaks, with another name for each."""
        parts = re.split("(<br>|, )", text)
        return "".join(part if part in ("<br>", ", ") else escape(rename(html.unescape(part))) for part in parts)
