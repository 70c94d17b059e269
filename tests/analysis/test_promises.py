"""What importing and loading must not do."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys, warnings
import pandas
filters, display = list(warnings.filters), pandas.describe_option(_print_desc=False)
import analysis
analysis.load(sys.argv[1])
unwanted = {"torch", "ray", "dynsparse", "matplotlib", "scipy"} & set(sys.modules)
assert not unwanted, unwanted
assert warnings.filters == filters
assert pandas.describe_option(_print_desc=False) == display
"""


def test_a_fresh_interpreter_loads_neither_torch_nor_ray_nor_dynsparse(notebook_run: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(notebook_run)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_nothing_is_unpickled() -> None:
    for path in (ROOT / "analysis").rglob("*.py"):
        assert "pickle" not in path.read_text(), path
