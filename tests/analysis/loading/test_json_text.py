"""JSON of any origin: the same text has the same value, whichever parser reads it."""

import json
from typing import Any

import orjson
import pytest
from support.hostile_corpus import CONTENTS, VALUES, WHOLE_NUMBERS

from analysis.loading.json_text import parse_json


@pytest.mark.parametrize("number", WHOLE_NUMBERS, ids=lambda number: f"{number:.3g}" if abs(number) < 1e300 else "huge")
def test_a_number_does_not_depend_on_what_is_beside_it(number: int) -> None:
    alone, beside = parse_json(b"[%d]" % number), parse_json(b"[%d, NaN]" % number)
    assert repr(alone[0]) == repr(beside[0])
    # Written and read again, as in a cache, it is the same.
    assert repr(parse_json(json.dumps(alone).encode())) == repr(alone)


@pytest.mark.parametrize("content", [*CONTENTS, *(json.dumps(value).encode() for value in VALUES)])
def test_what_the_faster_parser_reads_the_other_reads_as_well(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: bytes) -> Any:
        raise orjson.JSONDecodeError("", "", 0)

    found = parsed(content)
    monkeypatch.setattr(orjson, "loads", refuse)
    assert parsed(content) == found


def parsed(content: bytes) -> str:
    """What a text is parsed to, with the types of its numbers."""
    try:
        return repr(parse_json(content))
    except ValueError:
        return "no JSON"
