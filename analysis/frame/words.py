"""Words of messages that depend on a number."""


def plural(n: int, noun: str) -> str:
    """Return a number and its noun: "1 trial", "3 trials"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
