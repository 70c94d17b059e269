"""The significance level of all tests, and p values as text."""

LEVEL = 0.05


def p_text(p: float) -> str:
    """Return a p value for a sentence: "p = 0.012", "p < 0.0001".

    Example:
        >>> from analysis.statistics.significance import p_text
        >>> p_text(0.0123), p_text(1e-9)
        ('p = 0.012', 'p < 0.0001')
    """
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def p_digits(p: float) -> str:
    """Return a p value for a table, with 2 digits: "0.012", "<0.0001". No p value is shown as 0.

    Example:
        >>> from analysis.statistics.significance import p_digits
        >>> p_digits(0.0123), p_digits(1e-9)
        ('0.012', '<0.0001')
    """
    return "<0.0001" if p < 0.0001 else f"{p:.2g}"
