"""Search over settings: early stopping of trials that do worse than others, and proposals of a searcher.

Each rule is a file: it learns the values of trials after epochs, and decides which trial stops. The judge also reads
the rows of earlier runs, and averages over the trials of a group. `OptunaStudy` proposes settings, and `objectives`
says what it is told.
"""

from dynsparse.search.asha import Asha
from dynsparse.search.judge import Judge, Measurement, check_scheduler, metric_of, packs_of
from dynsparse.search.median import MedianStopping
from dynsparse.search.options import SearchOptions
from dynsparse.search.rules import RULES, Rule, StoppingOptions, rule_of

__all__ = [
    "RULES",
    "Asha",
    "Judge",
    "Measurement",
    "MedianStopping",
    "Rule",
    "SearchOptions",
    "StoppingOptions",
    "check_scheduler",
    "metric_of",
    "packs_of",
    "rule_of",
]
