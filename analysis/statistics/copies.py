"""Trials that began as copies of others, as population-based training makes them."""

import pandas as pd

from analysis.frame.schema import COPIED_FROM, STARTS_FROM
from analysis.frame.words import plural


def copies_note(df: pd.DataFrame) -> str:
    """Return a note on the trials whose first rows are those of another trial, with its settings, or ""."""
    n_copies = int(df[STARTS_FROM].notna().sum()) if STARTS_FROM in df else 0
    if not n_copies:
        return ""
    return (
        f"{plural(n_copies, 'trial')} began as {'a copy' if n_copies == 1 else 'copies'} of others: the settings hold "
        f"from the row in {STARTS_FROM} on only"
    )


def own_rows(history: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the trials have trained themselves, without those that copies have from other trials."""
    return history[history[COPIED_FROM].isna()] if COPIED_FROM in history else history
