"""All hyperparameters at once, one line for each trial."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns
from analysis.frame.schema import varying
from analysis.plots._lib.scales import Scale, scale
from analysis.plots._lib.style import CHARACTER, LINE_SCALE, TEXT, cut, escape, new_figure, short
from analysis.plots._lib.trials import describe, drawn, with_finite

# With more values than these a column of numbers is drawn as numbers, and not every value is written.
WRITTEN = 30
AXIS_WIDTH = 110


def plot_parallel(
    df: pd.DataFrame, metric: str, parameters: Sequence[str] | None = None, lowest: bool = False
) -> go.Figure:
    """One line for each complete trial through its hyperparameters to its metric, which gives the colour.

    The best lie on top. A column with up to 30 values has them all at equal distances, numbers in their order.
    Drag along an axis to pick trials. plotly shows nothing for a line that the pointer is on; `plot_axis` does.

    Args:
        parameters: the columns to show; by default all that vary, without `seed`.
        lowest: whether low values are the better ones.

    Raises: ValueError if a column does not exist or none varies, `metric` holds no numbers, or no trial has a value.
    """
    df = with_finite(df, metric)
    trials = drawn(df, metric).sort_values(metric, ascending=not lowest, kind="stable")
    names = [name for name in varying(trials) if name != "seed"] if parameters is None else list(parameters)
    check_columns(df, names)
    if not names:
        raise ValueError("no hyperparameter but the seed varies among the complete trials; name some in `parameters`")
    shown = [short(name, 20) for name in names]
    width = max(700, sum(max(AXIS_WIDTH, CHARACTER * len(name) + 24) for name in shown) + 240)
    fig = new_figure(f"{metric} by {len(names)} hyperparameters", [describe(df, metric)], width=width, height=520)
    top = fig.layout.margin.t + 40
    left = 24 + CHARACTER * max(len(short(text, 20)) for text in scale(trials[names[0]]).texts)
    fig.update_layout(margin={"l": max(60, left, CHARACTER * len(shown[0]) // 2 + 12), "t": top, "r": 110, "b": 30})
    fig.add_parcoords(
        dimensions=[_dimension(trials[name], label) for name, label in zip(names, shown, strict=True)]
        + [{"label": short(metric, 20), "values": trials[metric], "tickvals": []}],  # the colour bar has its ticks
        line={
            "color": trials[metric],
            "colorscale": LINE_SCALE,
            "showscale": True,
            "colorbar": {"title": {"text": escape(metric[:16])}, "x": 1.06},
        },
        # plotly would put light shadows behind the ticks, which on a dark page hide them.
        tickfont={"size": 11, "color": TEXT, "shadow": "none"},
        unselected={"line": {"opacity": 0.05}},
    )
    return fig


def _dimension(column: pd.Series, label: str) -> dict[str, object]:
    found = scale(column)
    if found.kind == "category" or len(found.values) <= WRITTEN:
        places = list(range(len(found.values)))
        # So few texts that they do not overlap; the last one is always there.
        step = -(-len(places) // WRITTEN)
        written = places[::-1][::step][::-1]
        texts = [cut(found.texts[place], 20) for place in written]  # drawn as they are
        return {"label": label, "values": found.positions(column), "tickvals": written, "ticktext": texts}
    return _line(column, label, found)


def _line(column: pd.Series, label: str, found: Scale) -> dict[str, object]:
    if found.kind == "linear":
        return {"label": label, "values": column}
    places = np.log10(column.astype(float))
    written = np.linspace(places.min(), places.max(), 6)
    return {
        "label": label,
        "values": places,
        "tickvals": written,
        "ticktext": [f"{10**place:.3g}" for place in written],
    }
