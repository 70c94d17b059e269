"""Early stopping: rules that end trials which do worse than others, and the judge that applies them in a run.

A rule is a file: it learns values of trials at epochs, and says which trial stops. The judge reads what earlier runs
have measured, averages over the trials of a group, and passes the reasons on.
"""

from dynsparse.search.asha import Asha
from dynsparse.search.judge import Judge, Measured, check_judged, metric_of, packs_of
from dynsparse.search.median import MedianStopping
from dynsparse.search.rules import RULES, Rule, StoppingOptions, rule_of

__all__ = [
    "RULES",
    "Asha",
    "Judge",
    "Measured",
    "MedianStopping",
    "Rule",
    "StoppingOptions",
    "check_judged",
    "metric_of",
    "packs_of",
    "rule_of",
]
