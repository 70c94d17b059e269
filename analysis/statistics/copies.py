"""Trials that began as copies of others, as population-based training makes them."""

import pandas as pd

from analysis.frame.schema import COPIED_FROM, STARTS_FROM
from analysis.frame.words import plural


def copies_note(df: pd.DataFrame) -> str:
    """Return a note on the trials that began as copies of others; "" if there are none."""
    n_copies = int(is_copy(df).sum())
    if not n_copies:
        return ""
    return (
        f"{plural(n_copies, 'trial')} began as {'a copy' if n_copies == 1 else 'copies'} of others: their settings "
        f"hold only after the rows that {STARTS_FROM} counts"
    )


def is_copy(df: pd.DataFrame) -> pd.Series:
    """Return True for each trial that began as a copy of another one."""
    return df[STARTS_FROM].notna() if STARTS_FROM in df else pd.Series(data=False, index=df.index)


def own_rows(history: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a history without those that copies have from other trials."""
    return history[history[COPIED_FROM].isna()] if COPIED_FROM in history else history
