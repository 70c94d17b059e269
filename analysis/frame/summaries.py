"""Names of the summaries of a logged value over the epochs of a trial: val_acc_max, val_acc_last, ..."""

SUMMARIES = ["_max", "_max_epoch", "_min", "_min_epoch", "_median", "_last"]
# The value of "test_acc" in the epoch that "val_acc" chooses is the column "test_acc_at_best".
AT_BEST = "_at_best"


def summarised(name: str) -> str:
    """Return the logged value that a column summarises, such as "val_acc" of "val_acc_max"; other names as they are."""
    return next((name.removesuffix(end) for end in sorted([*SUMMARIES, AT_BEST], key=len) if name.endswith(end)), name)
