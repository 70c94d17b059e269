"""The text of cluster files: Jinja2 templates, and YAML by PyYAML."""

from __future__ import annotations

import math
import shlex
from typing import Any

import jinja2
import yaml

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("dynsparse.cluster"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
)
_templates.filters["quote"] = shlex.quote


def render(template: str, **values: object) -> str:
    """Return a template of the folder `templates`, filled in. The filter `quote` quotes a word for a shell."""
    return _templates.get_template(template).render(values)


def to_yaml(*documents: dict[str, Any]) -> str:
    """Return documents as YAML, with keys in their order and texts of several lines as blocks."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)


class _Dumper(yaml.SafeDumper):
    """PyYAML without aliases, and with quotes wherever another YAML reader needs them."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # YAML readers change other line breaks than "\n" in a block.
        is_block = "\n" in data and data.removesuffix("\n").split("\n") == data.splitlines()
        # Kubernetes reads y, n and 1e3 as booleans and a number; PyYAML reads them as text and would not quote them.
        needs_quotes = len(data) == 1 or not data[:1].isalpha() or not data.isprintable()
        style = "|" if is_block else '"' if needs_quotes else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)
