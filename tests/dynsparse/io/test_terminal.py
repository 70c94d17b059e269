"""Text for a terminal."""

import pytest

from dynsparse.io.terminal import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain: é – ± µ 模型\n\tnext", "plain: é – ± µ 模型\n\tnext"),
        ("\x1b[31mred\x1b[0m \x1b[2J\x1b[?25l\x1b(B", "red "),
        ("\x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\x1bP+q\x1b\\", "link"),
        ("\x1b]not ended\nnext\x1b", "]not ended\nnext"),
        ("over\rwritten\b\x00\x7f\x9b", "overwritten"),
        ("right \u202eto left\u2066 \u200binvisible \ud800", "right to left invisible "),
    ],
)
def test_control_sequences_are_removed(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("part", ["\x1b]", "\x1b", "\x1b[0", "\x1b]a", "\x1b  "])
def test_a_long_text_takes_no_longer_than_its_length(part: str) -> None:
    assert len(printable(part * 300_000)) <= 900_000
