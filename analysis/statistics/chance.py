"""Trials that never left chance level: how many, and in which settings."""

from collections.abc import Sequence

import pandas as pd

from analysis.statistics.common_settings import note_on
from analysis.statistics.divergence import is_diverged


def is_at_chance(df: pd.DataFrame) -> pd.Series:
    """Mark the complete trials that never left chance level and did not diverge; none without a column `at_chance`."""
    if "at_chance" not in df:
        return pd.Series(False, index=df.index)
    return df["at_chance"].eq(True) & (df["status"] == "complete") & ~is_diverged(df)


def chance_note(df: pd.DataFrame, besides: Sequence[str] = ()) -> str:
    """Return a note on the complete trials that never left chance level, with their settings, or ""."""
    return note_on(df, is_at_chance(df), besides, "never left chance level", "counted")
