"""experiment.json: the question of an experiment, and the metric that answers it, as its run noted them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from analysis.frame.words import printable
from analysis.loading.parse import read_object

EXPERIMENT_FILE = "experiment.json"
# The entries of `attrs`.
QUESTION, METRIC = "question", "metric"
# A question is a sentence. Nobody reads a longer one, and a larger file is not ours.
LONGEST, LARGEST_FILE = 500, 2**16


class Facts(NamedTuple):
    """The question and the metric of an experiment; "" if they are unknown."""

    question: str
    metric: str


NO_FACTS = Facts("", "")


def read_facts(folder: Path) -> Facts:
    """Return the facts in the folder of an experiment. A file that is missing or damaged has none."""
    found, _ = read_object(folder / EXPERIMENT_FILE, LARGEST_FILE)
    return Facts(*(_text(found.get(name)) for name in Facts._fields))


def _text(value: object) -> str:
    text = " ".join(printable(value).split()) if isinstance(value, str) else ""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def joined_facts(every: Sequence[Facts]) -> Facts:
    """Return the facts of several experiments: each question on a line, and the metric if all have the same."""
    questions = dict.fromkeys(each.question for each in every if each.question)
    metrics = {each.metric for each in every}
    return Facts("\n".join(questions), metrics.pop() if len(metrics) == 1 else "")


def question(df: pd.DataFrame) -> str:
    """Return the question of the experiment that a DataFrame was loaded from; "" if it is unknown.

    `dynsparse run` notes it beside the results. It stays with the DataFrame when it is filtered. Of several experiments
    each question is a line. The text may come from anybody: escape it where it is not shown as text.

    Args:
        df: the result of `load`, `load_many` or `load_history`.

    Example:
        >>> from analysis import load_example, question
        >>> question(load_example("quickstart"))
        'At which density does growing new weights beat a static sparse network?'
    """
    return str(df.attrs.get(QUESTION, ""))
