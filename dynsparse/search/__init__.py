"""Search over settings: early stopping of trials that do worse than others, and proposals of a searcher.

Each rule is a file: it learns the values of trials after epochs, and decides which trial stops. The judge also reads
the rows of earlier runs, and averages over the trials of a group. HyperBand and PBT compare trials that have all
trained for equally many epochs. PBT replaces bad trials by copies of good ones, whose settings `mutation` changes.
`OptunaStudy` proposes settings, and `objectives` says what it is told.
"""

from dynsparse.search.asha import Asha
from dynsparse.search.hyperband import Decisions, HyperBand
from dynsparse.search.judge import (
    Judge,
    Measurement,
    check_scheduler,
    epochs_of_all,
    group_of,
    hyperband_of,
    packs_of,
    read_histories,
)
from dynsparse.search.median import MedianStopping
from dynsparse.search.mutation import FIXED_KEYS, MUTABLE_KEYS, mutate
from dynsparse.search.options import SearchOptions
from dynsparse.search.pbt import Copy, Pbt, Population
from dynsparse.search.rules import (
    HYPERBAND,
    PBT,
    RULES,
    SCHEDULERS_IN_ROUNDS,
    Rule,
    StoppingOptions,
    metric_of,
    rule_of,
)
from dynsparse.search.tune_rule import SchedulerError, TuneRule

__all__ = [
    "FIXED_KEYS",
    "HYPERBAND",
    "MUTABLE_KEYS",
    "PBT",
    "RULES",
    "SCHEDULERS_IN_ROUNDS",
    "Asha",
    "Copy",
    "Decisions",
    "HyperBand",
    "Judge",
    "Measurement",
    "MedianStopping",
    "Pbt",
    "Population",
    "Rule",
    "SchedulerError",
    "SearchOptions",
    "StoppingOptions",
    "TuneRule",
    "check_scheduler",
    "epochs_of_all",
    "group_of",
    "hyperband_of",
    "metric_of",
    "mutate",
    "packs_of",
    "read_histories",
    "rule_of",
]
