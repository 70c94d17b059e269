"""Trials that diverged: a loss was NaN or infinite at their end. Statistics leave them out and count them."""

from collections.abc import Sequence

import pandas as pd

from analysis.statistics.common_settings import note_on


def is_diverged(df: pd.DataFrame) -> pd.Series:
    """Mark the complete trials that diverged; none if the DataFrame has no column `diverged`."""
    if "diverged" not in df:
        return pd.Series(False, index=df.index)
    return df["diverged"].eq(True) & (df["status"] == "complete")


def divergence_note(df: pd.DataFrame, besides: Sequence[str] = ()) -> str:
    """Return a note on the complete trials that diverged, with their settings, or ""."""
    return note_on(df, is_diverged(df), besides, "diverged", "left out")
