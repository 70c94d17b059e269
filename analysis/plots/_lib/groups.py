"""The groups of a plot: names, colours, legend, and the choice of the best groups."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.series import Column, column_names
from analysis.plots._lib.scales import key_of
from analysis.plots._lib.style import COLOURS, DASHES, escape, faded, labels, look, short
from analysis.statistics.aggregate import key_names

# By default no colour is repeated. A caller may ask for as many groups as there are pairs of a colour and a dash.
SHOWN = len(COLOURS)
MOST = len(COLOURS) * len(DASHES)
TAKEN = ["epoch", "mean", "std", "low", "high", "count"]


class Group(NamedTuple):
    """One group: its name, and its look."""

    name: str
    colour: str
    dash: str
    symbol: str

    def legend(self, is_shown: bool = True) -> dict[str, object]:
        """Return what the traces of the group share: one is in the legend, and a click on it hides all of them."""
        return {"name": short(self.name), "legendgroup": self.name, "showlegend": is_shown and self.name != ""}


def draw_line(
    fig: go.Figure,
    table: pd.DataFrame,
    places: Sequence[Any],
    group: Group,
    n_groups: int,
    what: str = "",
    mode: str = "lines+markers",
    quantity: str = "mean",
    **at: int,
) -> None:
    """Draw the means of a group as a line, and their intervals as a band. The legend shows its first line only.

    Args:
        fig: the figure.
        table: rows with `mean`, `low`, `high` and `count`, in the order of the line.
        places: the horizontal coordinate of each row.
        group: the name and look of the line.
        n_groups: the number of groups: more bands are paler.
        what: the quantity on the horizontal axis, for the hover text.
        mode: plotly's mode of a line with several points.
        quantity: the word for the numbers in `mean`, for the hover text.
        at: row and column of the panel, from 1, if the figure has panels.
    """
    is_first = not any(trace.meta == "means" and trace.legendgroup == group.name for trace in fig.data)
    has_band = table["low"].notna().to_numpy()
    xs = [place for place, has in zip(places, has_band, strict=True) if has]
    fig.add_scatter(
        x=xs + xs[::-1],
        y=[*table["high"][has_band], *table["low"][has_band][::-1]],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=faded(group.colour, n_groups),
        hoverinfo="skip",
        meta="band",
        **group.legend(is_shown=False),
        **at,
    )
    fig.add_scatter(
        x=list(places),
        y=table["mean"],
        mode=mode if len(table) > 1 else "markers",  # a line of one point cannot be seen
        line={"color": group.colour, "dash": group.dash, "width": 2},
        marker={"color": group.colour, "size": 8, "symbol": group.symbol},
        hovertext=mean_texts(table, group, quantity),
        hovertemplate=f"{what} %{{x}}<br>%{{hovertext}}<extra></extra>".strip(),
        meta="means",
        **group.legend(is_shown=is_first),
        **at,
    )


def names_of(df: pd.DataFrame, by: Sequence[str]) -> pd.Series:
    """Return the name of each row's group: its values of the keys, joined by ", "; "" if there are no keys."""
    if not by:
        return pd.Series("", index=df.index, dtype=object)
    texts = []
    for key in by:
        distinct = {key_of(value): value for value in df[key]}
        text = dict(zip(distinct, labels(distinct.values()), strict=True))
        texts.append([text[key_of(value)] for value in df[key]])
    return pd.Series([", ".join(row) for row in zip(*texts, strict=True)], index=df.index, dtype=object)


def group_keys(df: pd.DataFrame, by: Column | Sequence[Column] | None, besides: Sequence[str] = ()) -> list[str]:
    """Return the keys as a list, [] for None.

    Raises:
        ValueError: if a column does not exist, or is an axis of the same plot.
    """
    keys = [] if by is None else key_names(df, column_names(by), taken=TAKEN)
    clash = [key for key in keys if key in besides]
    if clash:
        raise ValueError(f"by must not name a column that is on an axis already, got {clash}. Name other columns.")
    return keys


def check_top(top: int) -> None:
    """Raise a ValueError if there are fewer looks than this number of groups."""
    if not 1 <= top <= MOST:
        raise ValueError(f"top must be from 1 to {MOST}, the number of different looks of a line, got {top}.")


def best(scores: pd.Series, top: int, lowest: bool) -> list[str]:
    """Return the names of the best groups, best first; ties in their order, groups without a score last."""
    order = scores.sort_values(ascending=lowest, kind="stable", na_position="last")
    return list(order.index[:top])


def note(n_all: int, n_shown: int, by: Sequence[str], what: str) -> str:
    """Return the note of a plot that does not show all groups, else ""."""
    return (
        f"{n_shown} of {n_all} groups by {', '.join(by)} shown: those with the best {what}" if n_shown < n_all else ""
    )


def groups(names: pd.Series) -> list[Group]:
    """Return one group for each name, in the order of the rows."""
    return [Group(name, *look(i)) for i, name in enumerate(dict.fromkeys(names))]


def mean_texts(rows: pd.DataFrame, group: Group, quantity: str = "mean") -> list[str]:
    """Return the hover texts of the means of a group: the mean, its interval if it has one, the number of trials."""
    heading = [f"<b>{short(group.name, 60)}</b>"] if group.name else []
    texts = []
    for mean, low, high, count in zip(*(rows[name] for name in ("mean", "low", "high", "count")), strict=True):
        interval = [] if pd.isna(low) else [f"95%: {low:.4g} to {high:.4g}"]
        texts.append("<br>".join([*heading, f"{quantity}: {mean:.4g}", *interval, f"n={count}"]))
    return texts


def add_legend(fig: go.Figure, by: Sequence[str]) -> None:
    """Show a legend on the right, with the keys as its title."""
    title = "<br>".join(escape(key) for key in by)
    fig.update_layout(legend={"title": {"text": title}, "tracegroupgap": 2}, showlegend=bool(by))
