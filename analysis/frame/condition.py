"""Conditions that select trials, such as "on_perc <= 0.1 and model == 'SET'". They are read, and never run as code."""

import ast
import keyword
import operator
import re
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis.frame.matching import values_of
from analysis.frame.settings import setting
from analysis.frame.suggest import unknown
from analysis.frame.values import hashable, is_missing, sort_key

ALLOWED = "columns, values, comparisons, `and`, `or`, `not`, `in` and `is None`"
# Words for values, in any case. A table prints a missing value as a dash.
WORDS = {"true": True, "false": False, "none": None, "null": None, "nan": None, "inf": float("inf")}
DASH = "–"
# A text in quotes, a name in backticks, a dash that is no part of a word.
SPECIAL = r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|`([^`]*)`|(?<!\w)(–)(?!\w)"""
# Python's words that have their meaning in conditions; the others may be names of columns, such as lambda.
SYNTAX = {"and", "or", "not", "in", "is", "None", "True", "False"}
ORDERS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
MISSING = sort_key(None)
# Values that the message about an empty result names.
SHOWN = 5


def select(df: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the rows for which a condition holds.

    A condition compares columns with values or with each other (`==`, `!=`, `<`, `<=`, `>`, `>=`, `in [...]`,
    `not in [...]`, `is None`), and joins comparisons with `and`, `or`, `not` and brackets. Values are written as tables
    print them: `hidden_sizes == (300, 100)`, `kwinners == True`, `clip_norm is None`, `model == SET`. Put quotes around
    a text that is not a single word, and backticks around a column that is not: `` `val_acc of the best` > 0.9``. A
    column of booleans is a condition itself. A missing value equals None only, and has no order.

    The text is read with a parser and never run as code, so it may come from anybody.

    Args:
        df: the trials.
        where: the condition.

    Raises:
        ValueError: if the condition cannot be read, names an unknown column, or holds for no row.

    Example:
        >>> from analysis import load_example, select
        >>> df = load_example("quickstart")
        >>> select(df, "model in [SET, RigL] and on_perc < 0.1 and not seed == 0")["on_perc"].value_counts().to_dict()
        {0.02: 4, 0.05: 4}
        >>> select(df, "hidden_sizes == (100, 100)")["seed"].nunique()
        3
    """
    reader = _Reader(df, where)
    holds = reader.condition()
    if not any(holds):
        raise ValueError(f"where {where!r} leaves no trial of {len(df)}. {reader.values_of_columns()}")
    return df[holds]


class _Column(NamedTuple):
    """An operand that is a column."""

    name: str
    values: list[Any]


class _Word(NamedTuple):
    """An operand that is no column. It is a text if the other operand has that text among its values."""

    text: str


class _Value(NamedTuple):
    """An operand that is a constant."""

    value: Any


_Operand = _Column | _Word | _Value


class _Reader:
    """The reader of one condition."""

    def __init__(self, df: pd.DataFrame, where: str) -> None:
        if not isinstance(where, str):
            raise ValueError(f"where must be a condition as text, such as 'on_perc == 0.1', got {where!r}.")
        self.df, self.where = df, where
        self._named: dict[str, list[Any]] = {}  # the columns that the condition names, with their values

    def condition(self) -> list[bool]:
        """Return for each row whether the condition holds."""
        text, self._names = _with_plain_names(self.where, [str(name) for name in self.df.columns])
        try:
            with warnings.catch_warnings():
                # Python warns of escapes in texts that it does not know.
                warnings.simplefilter("ignore")
                tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            raise self._error(f"cannot be read: {reason}", self._hint()) from error
        except (RecursionError, MemoryError) as error:
            raise self._error("cannot be read: it is nested too deeply", "") from error
        try:
            return self._holds(tree.body)
        except RecursionError as error:
            raise self._error("cannot be read: it is nested too deeply", "") from error

    def values_of_columns(self) -> str:
        """Return sentences with the values of the columns that the condition names."""
        sentences = []
        for name, values in self._named.items():
            distinct = values_of(pd.Series(values, dtype=object))
            shown = ", ".join(DASH if is_missing(value) else repr(value) for value in distinct[:SHOWN])
            more = f", ... ({len(distinct) - SHOWN} more)" if len(distinct) > SHOWN else ""
            sentences.append(f"Values of {name}: {shown}{more}.")
        return " ".join(sentences)

    def _holds(self, node: ast.expr) -> list[bool]:
        if isinstance(node, ast.BoolOp):
            join = all if isinstance(node.op, ast.And) else any
            return [join(each) for each in zip(*map(self._holds, node.values), strict=True)]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return [not each for each in self._holds(node.operand)]
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            related = map(self._related, operands, node.ops, operands[1:])
            return [all(each) for each in zip(*related, strict=True)]
        operand = self._operand(node)
        if isinstance(operand, _Word):
            raise self._unknown_column(operand)
        is_bool = isinstance(operand, _Column) and all(isinstance(x, bool) or is_missing(x) for x in operand.values)
        if not is_bool:
            raise self._error("is not a condition", "Write one such as 'on_perc == 0.1'.")
        return [value is True for value in self._rows(operand)]

    def _related(self, left: ast.expr, relation: ast.cmpop, right: ast.expr) -> list[bool]:
        """Return for each row whether one comparison holds."""
        if isinstance(relation, (ast.In, ast.NotIn)):
            return self._is_in(left, right, expected=isinstance(relation, ast.In))
        one, other = self._operand(left), self._operand(right)
        pairs = list(zip(self._keys(one, other), self._keys(other, one), strict=True))
        if isinstance(relation, (ast.Is, ast.IsNot)) and not (isinstance(other, _Value) and is_missing(other.value)):
            raise self._error("has `is` before something else than None", "Write == or !=.")
        if isinstance(relation, (ast.Eq, ast.Is)):
            return [a == b for a, b in pairs]
        if isinstance(relation, (ast.NotEq, ast.IsNot)):
            return [a != b for a, b in pairs]
        # The first part of a key is the kind of the value: a number and a text have no order.
        kinds = {(a[0], b[0]) for a, b in pairs if MISSING not in (a, b)}
        if kinds and all(a != b for a, b in kinds):
            raise self._error("asks for the order of values of different kinds", self.values_of_columns())
        is_so = ORDERS[type(relation)]
        return [a[0] == b[0] and MISSING not in (a, b) and is_so(a, b) for a, b in pairs]

    def _is_in(self, left: ast.expr, right: ast.expr, expected: bool) -> list[bool]:
        if not isinstance(right, (ast.List, ast.Tuple, ast.Set)):
            raise self._error("has no list after `in`", "Write one such as 'model in [SET, RigL]'.")
        options = {sort_key(hashable(self._constant(each))) for each in right.elts}
        return [(key in options) == expected for key in self._keys(self._operand(left))]

    def _keys(self, operand: _Operand, other: _Operand | None = None) -> list[tuple[Any, ...]]:
        """Return the keys by which the operand's value in each row is compared with that of the other operand."""
        if isinstance(operand, _Word):
            texts = [value for value in other.values if isinstance(value, str)] if isinstance(other, _Column) else []
            if not isinstance(other, _Column) or not texts:
                raise self._unknown_column(operand)
            if operand.text not in texts:
                raise self._error("cannot be read", unknown(f"value of {other.name}", operand.text, sorted({*texts})))
            operand = _Value(operand.text)
        return list(map(sort_key, self._rows(operand)))

    def _rows(self, operand: _Column | _Value) -> list[Any]:
        return operand.values if isinstance(operand, _Column) else [operand.value] * len(self.df)

    def _operand(self, node: ast.expr) -> _Operand:
        if not isinstance(node, ast.Name):
            return _Value(hashable(self._constant(node)))
        name = self._names.get(node.id, node.id)
        if name in self.df:
            return _Column(name, self._named.setdefault(name, list(self.df[name])))
        return _Value(WORDS[name.lower()]) if name.lower() in WORDS else _Word(name)

    def _constant(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float, type(None))):
            return node.value
        if isinstance(node, ast.Name) and node.id not in self._names:
            return WORDS.get(node.id.lower(), node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            number = self._constant(node.operand)
            if isinstance(number, (int, float)):
                return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, (ast.Tuple, ast.List)):
            return [self._constant(each) for each in node.elts]
        if isinstance(node, ast.Set):
            return setting(f"{{{', '.join(repr(self._constant(each)) for each in node.elts)}}}")
        if isinstance(node, ast.Dict) and None not in node.keys:
            return {
                str(self._constant(key)): self._constant(value)
                for key, value in zip(node.keys, node.values, strict=True)
                if key
            }
        text = ast.unparse(node)
        for plain, name in self._names.items():
            text = text.replace(plain, name)
        raise self._error(f"contains {text}", f"Allowed are {ALLOWED}. {self._hint()}")

    def _hint(self) -> str:
        """Return how to write the condition: with quotes, if it has a value that needs them."""
        named = [list(self.df[name]) for name in self.df.columns if str(name) in self.where]
        values = {each for column in named for each in column if isinstance(each, str) and each}
        quoted = _with_quotes(self.where, [each for each in values if not each.isidentifier()])
        if quoted == self.where:
            return _general_hint(self.where)
        return f'Put quotes around a text that is not a single word: "{quoted}".'

    def _unknown_column(self, word: _Word) -> ValueError:
        return self._error("cannot be read", unknown("column", word.text, [str(name) for name in self.df]))

    def _error(self, problem: str, fix: str) -> ValueError:
        return ValueError(f"where {self.where!r} {problem}. {fix}".strip())


def _with_plain_names(where: str, columns: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the condition as Python can parse it, and the columns of the names that it has instead of others.

    Those are names in backticks, and columns whose name is no name of Python, such as config/epochs.
    """
    prefix = "_"
    while prefix in where:
        prefix += "_"
    names: dict[str, str] = {}

    def plain(found: re.Match[str]) -> str:
        text, quoted, dash, odd = found.groups()
        if text is not None:
            return text
        if dash is not None:
            return " None "
        name = f"{prefix}{len(names)}"
        names[name] = odd if quoted is None else quoted
        return f" {name} "

    odd = [name for name in columns if not name.isidentifier() or (keyword.iskeyword(name) and name not in SYNTAX)]
    # The longest first: a name may begin with another one.
    options = "|".join(re.escape(name) for name in sorted(odd, key=len, reverse=True) if name)
    pattern = rf"{SPECIAL}|(?<!\w)({options})(?!\w)" if options else rf"{SPECIAL}|(?!)()"
    return re.sub(pattern, plain, where), names


def _general_hint(where: str) -> str:
    if re.search(r"(?<![=!<>])=(?!=)", where):
        return "Write == to compare."
    if re.search(r"[&|~]|!(?!=)", where):
        return "Write `and`, `or` and `not`."
    return "Put quotes around a text, and backticks around a column, that is not a single word."


def _with_quotes(where: str, texts: Collection[str]) -> str:
    """Return the condition with quotes around those of the texts that it has without quotes."""
    if not texts:
        return where
    # The longest first: a text may begin with another one.
    options = "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))
    return re.sub(
        rf"{SPECIAL}|(?<![\w.:])(?P<text>{options})(?![\w.:])",
        lambda found: found[0] if found["text"] is None else repr(found["text"]),
        where,
    )
