"""Search over settings: early stopping of trials that do worse than others, and proposals of a searcher.

Each rule is a file: it learns the values of trials after epochs, and decides which trial stops. The judge also reads
the rows of earlier runs, and averages over the trials of a group. HyperBand compares trials that have all trained for
equally many epochs. `OptunaStudy` proposes settings, and `objectives` says what it is told.
"""

from dynsparse.search.asha import Asha
from dynsparse.search.hyperband import Decisions, HyperBand
from dynsparse.search.judge import (
    Judge,
    Measurement,
    check_scheduler,
    group_of,
    hyperband_of,
    packs_of,
    read_histories,
)
from dynsparse.search.median import MedianStopping
from dynsparse.search.options import SearchOptions
from dynsparse.search.rules import HYPERBAND, RULES, Rule, StoppingOptions, metric_of, rule_of
from dynsparse.search.tune_rule import SchedulerError, TuneRule

__all__ = [
    "HYPERBAND",
    "RULES",
    "Asha",
    "Decisions",
    "HyperBand",
    "Judge",
    "Measurement",
    "MedianStopping",
    "Rule",
    "SchedulerError",
    "SearchOptions",
    "StoppingOptions",
    "TuneRule",
    "check_scheduler",
    "group_of",
    "hyperband_of",
    "metric_of",
    "packs_of",
    "read_histories",
    "rule_of",
]
