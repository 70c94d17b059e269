"""Trials that never left chance level: how many, and in which settings."""

from collections.abc import Sequence

import pandas as pd

from analysis.frame.words import plural
from analysis.statistics.common_settings import common_settings, listed_settings
from analysis.statistics.divergence import is_diverged


def is_at_chance(df: pd.DataFrame) -> pd.Series:
    """Mark the complete trials that never left chance level and did not diverge; none without a column `at_chance`."""
    if "at_chance" not in df:
        return pd.Series(False, index=df.index)
    return df["at_chance"].eq(True) & (df["status"] == "complete") & ~is_diverged(df)


def chance_note(df: pd.DataFrame, besides: Sequence[str] = ()) -> str:
    """Return a note on the complete trials that never left chance level, with their settings; "" if there are none."""
    marked = is_at_chance(df)
    n = int(marked.sum())
    if not n:
        return ""
    total = int((df["status"] == "complete").sum())
    where = listed_settings(common_settings(df, marked, besides))
    are = "is" if n == 1 else "are"
    return f"{n} of {plural(total, 'complete trial')} never left chance level and {are} counted{where}"
