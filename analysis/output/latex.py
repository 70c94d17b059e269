"""LaTeX tables for a paper: the best cell of each column in bold, and a mark on those that may be as good."""

import math
from collections.abc import Sequence

import pandas as pd
from tabulate import LATEX_ESCAPE_RULES

from analysis.frame.matching import cell_of_each, values_of
from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.frame.values import sort_key
from analysis.output.tables import arrange_cells, format_table, statistics_and_cells
from analysis.statistics.contrasts import contrasts
from analysis.statistics.ranking import is_better_low
from analysis.statistics.significance import LEVEL

# Placeholders, which are replaced by the LaTeX commands after the texts have been escaped.
BEGIN, END, MARK = "⟪", "⟫", "‡"
# What a cell shows, for the caption.
CELLS = {
    "mean": "Mean and standard deviation over trials.",
    "ci": "Mean and its 95% interval (Student's t) over trials.",
    "iqm": "Interquartile mean and its 95% interval (bootstrap) over trials.",
}
COMMANDS = {BEGIN: r"\textbf{", END: "}", MARK: r"$^\dagger$"}


def latex_table(
    df: pd.DataFrame,
    rows: Column | Sequence[Column],
    columns: Column | Sequence[Column] | None,
    metric: Column,
    *,
    stat: str = "mean",
    lowest: bool | None = None,
) -> str:
    r"""Return a pivot table in LaTeX (booktabs) with the best cell of each column in bold.

    If `rows` is a single key, such as model, a dagger marks the cells that do not differ clearly from the best one of
    their column: `p_adjusted` of `contrasts` within the columns is above 0.05. A comment at the
    end explains the marks, or says why the cells cannot be compared; copy it into the caption. Cells are those of
    `pivot`. For a table without bold cells and marks, use `format_table(pivot(...), "latex")`.

    Args:
        df: the trials.
        rows: one or more columns, which become the rows.
        columns: one or more columns, whose combinations become the columns, or None.
        metric: the column to average.
        stat: what a cell shows, as in `pivot`: "mean", "ci" or "iqm".
        lowest: True if low values are better; None decides by the name: low is better for a loss or an error.

    Raises:
        ValueError: if a column or `stat` does not exist, or `metric` holds no numbers.

    Example:
        >>> from analysis import latex_table, load_example
        >>> df = load_example("quickstart")
        >>> table, note = latex_table(df[df["on_perc"] > 0.02], "model", "on_perc", "test_acc_at_best").split("% ")
        >>> print(table)
        \begin{tabular}{lll}
        \toprule
         model       & on\_perc=0.05    & on\_perc=0.1     \\
        \midrule
         RigL        & \textbf{0.916 $\pm$ 0.012} & 0.935 $\pm$ 0.004$^\dagger$ \\
         SET         & 0.868 $\pm$ 0.020   & 0.944 $\pm$ 0.011$^\dagger$ \\
         SparseModel & 0.818 $\pm$ 0.020   & \textbf{0.945 $\pm$ 0.014} \\
        \bottomrule
        \end{tabular}
        <BLANKLINE>
        >>> note.split(" (")[0]
        'Mean and standard deviation over trials. Bold: the best of each column. Dagger: no clear difference from it'
    """
    df = with_series(df, rows, columns, metric)
    row_keys, column_keys, metric = column_names(rows), column_names(columns), column_name(metric)
    is_low = is_better_low(metric) if lowest is None else lowest
    table, cells = statistics_and_cells(df, [*row_keys, *column_keys], metric, stat)
    is_best = _best_of_each_column(table, column_keys, is_low)
    is_as_good, note = _as_good(df, table, is_best, row_keys, column_keys, metric)
    texts = [
        f"{BEGIN}{cell}{END}" if best else f"{cell}{MARK}" if as_good else cell
        for cell, best, as_good in zip(cells, is_best, is_as_good, strict=True)
    ]
    text = format_table(arrange_cells(table, texts, row_keys, column_keys, metric), "latex")
    for placeholder, command in COMMANDS.items():
        text = text.replace(placeholder, command)
    caption = " ".join(f"{CELLS[stat]} Bold: the best of each column. {note}".split())
    # Copied into a document, it must compile.
    return f"{text}\n% {''.join(LATEX_ESCAPE_RULES.get(each, each) for each in caption)}"


def _best_of_each_column(table: pd.DataFrame, column_keys: list[str], is_low: bool) -> list[bool]:
    values = (-table["mean"] if is_low else table["mean"]).tolist()
    best: dict[tuple[object, ...], float] = {}
    columns = cell_of_each(table, column_keys)
    for column, value in zip(columns, values, strict=True):
        if not math.isnan(value):
            best[column] = max(best.get(column, value), value)
    return [best.get(column) == value for column, value in zip(columns, values, strict=True)]


def _as_good(
    df: pd.DataFrame,
    table: pd.DataFrame,
    is_best: list[bool],
    row_keys: list[str],
    column_keys: list[str],
    metric: str,
) -> tuple[list[bool], str]:
    """Return True for each cell to mark, and the note for the caption."""
    none = [False] * len(table)
    if len(row_keys) > 1:
        return none, "Cells are not compared, because the rows have several keys."
    if len(values_of(table[row_keys[0]])) < 2:
        return none, "There is a single row."
    try:
        found = contrasts(df, row_keys[0], metric, within=column_keys or None)
    except ValueError as error:
        return none, f"Cells cannot be compared: {error}"
    p_of: dict[tuple[object, object, object], float] = {}
    for row, cell in zip(found.to_dict("records"), cell_of_each(found, column_keys), strict=True):
        p_of[cell, sort_key(row["a"]), sort_key(row["b"])] = row["p_adjusted"]
        p_of[cell, sort_key(row["b"]), sort_key(row["a"])] = row["p_adjusted"]
    columns, rows = cell_of_each(table, column_keys), [sort_key(value) for value in table[row_keys[0]]]
    best_row = {column: row for column, row, best in zip(columns, rows, is_best, strict=True) if best}
    as_good = [
        row != best_row.get(column) and p_of.get((column, row, best_row.get(column)), 0) > LEVEL
        for column, row in zip(columns, rows, strict=True)
    ]
    n = int(found["p"].notna().sum())
    return as_good, f"Dagger: no clear difference from it (contrasts of {metric}, Holm over {n} comparisons)."
