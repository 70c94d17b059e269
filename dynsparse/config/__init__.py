"""Configuration: every hyperparameter of a trial, with its default, meaning, unit and check.

`Config` is one frozen, flat dataclass, and the only place where a default is written. A configuration is checked
once, when it is created, and all its problems are reported together.
"""

from dynsparse.config.config import (
    FUNCTIONS,
    SUBJECTS,
    Config,
    ConfigError,
    check_of,
    function_hash,
    identity_values,
    in_current_terms,
    is_default,
    keys,
    n_rows_copied,
)
from dynsparse.config.suggest import unknown

__all__ = [
    "FUNCTIONS",
    "SUBJECTS",
    "Config",
    "ConfigError",
    "check_of",
    "function_hash",
    "identity_values",
    "in_current_terms",
    "is_default",
    "keys",
    "n_rows_copied",
    "unknown",
]
