"""The groups of a plot: each has a colour, and no more of them are drawn than can be told apart."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.plots._lib.scales import key_of
from analysis.plots._lib.style import COLOURS, DASHES, escape, faded, labels, look, short
from analysis.stats.aggregate import key_names

# More would repeat a colour; a caller may ask for as many as there are pairs of a colour and a dash.
SHOWN = len(COLOURS)
MOST = len(COLOURS) * len(DASHES)
TAKEN = ["epoch", "mean", "std", "low", "high", "count"]


class Group(NamedTuple):
    """One group: its name, and what distinguishes it on the page."""

    name: str
    colour: str
    dash: str
    symbol: str

    def legend(self, is_shown: bool = True) -> dict[str, object]:
        """What the traces of the group share. One of them stands in the legend, and a click there hides all."""
        return {"name": short(self.name), "legendgroup": self.name, "showlegend": is_shown and self.name != ""}


def add_band(
    fig: go.Figure,
    x: Iterable[object],
    low: Iterable[float],
    high: Iterable[float],
    group: Group,
    n_bands: int,
    **at: int,
) -> None:
    """Fill what lies between two lines, paler the more bands there are. `at`: row and col of a panel."""
    xs, lows, highs = list(x), list(low), list(high)
    fig.add_scatter(
        x=xs + xs[::-1],
        y=highs + lows[::-1],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=faded(group.colour, n_bands),
        hoverinfo="skip",
        meta="band",
        **group.legend(is_shown=False),
        **at,
    )


def names_of(df: pd.DataFrame, by: Sequence[str]) -> pd.Series:
    """The name of each row's group: its values of the keys, joined by ", "; "" if there are no keys."""
    if not by:
        return pd.Series("", index=df.index, dtype=object)
    texts = []
    for key in by:
        distinct = {key_of(value): value for value in df[key]}
        text = dict(zip(distinct, labels(distinct.values()), strict=True))
        texts.append([text[key_of(value)] for value in df[key]])
    return pd.Series([", ".join(row) for row in zip(*texts, strict=True)], index=df.index, dtype=object)


def group_keys(df: pd.DataFrame, by: str | Sequence[str] | None, besides: Sequence[str] = ()) -> list[str]:
    """The keys as a list, [] for None.

    Raises: ValueError if a column does not exist, or is an axis of the same plot.
    """
    keys = [] if by is None else key_names(df, by, taken=TAKEN)
    clash = [key for key in keys if key in besides]
    if clash:
        raise ValueError(f"by holds {clash}, which the axes show already; name other columns")
    return keys


def check_top(top: int) -> None:
    """Raises a ValueError if so many groups cannot be told apart."""
    if not 1 <= top <= MOST:
        raise ValueError(f"top must be from 1 to {MOST}, the groups that can be told apart, got {top}")


def best(scores: pd.Series, top: int, lowest: bool) -> list[str]:
    """The names of the best groups, best first; of equal ones the first. Those without a score come last."""
    order = scores.sort_values(ascending=lowest, kind="stable", na_position="last")
    return list(order.index[:top])


def note(n_all: int, n_shown: int, by: Sequence[str], what: str) -> str:
    """The note of a plot that does not show all groups, else ""."""
    return (
        f"{n_shown} of {n_all} groups of {', '.join(by)} shown: those with the best {what}" if n_shown < n_all else ""
    )


def groups(names: pd.Series) -> list[Group]:
    """One group for each name, in the order of the rows."""
    return [Group(name, *look(i)) for i, name in enumerate(dict.fromkeys(names))]


def mean_texts(rows: pd.DataFrame, group: Group) -> list[str]:
    """What the pointer says of the means of a group: the mean, its interval if there is one, of how many trials."""
    heading = [f"<b>{short(group.name, 60)}</b>"] if group.name else []
    texts = []
    for mean, low, high, count in zip(*(rows[name] for name in ("mean", "low", "high", "count")), strict=True):
        interval = [] if pd.isna(low) else [f"95%: {low:.4g} to {high:.4g}"]
        texts.append("<br>".join([*heading, f"mean: {mean:.4g}", *interval, f"n={count}"]))
    return texts


def add_legend(fig: go.Figure, by: Sequence[str]) -> None:
    """A legend to the right, with the keys as its title."""
    title = "<br>".join(escape(key) for key in by)
    fig.update_layout(legend={"title": {"text": title}, "tracegroupgap": 2}, showlegend=bool(by))
