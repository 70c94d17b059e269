"""The README and the pages of docs/: every block of code runs, links and files exist, lists are complete."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from support.doc_pages import ROOT, Block, Session, blocks, dynsparse_command, pages

from dynsparse.data import DATASETS
from dynsparse.methods import METHODS
from dynsparse.nn.mlp import NETWORKS
from dynsparse.tune.ray_session import start_ray

PAGES = {name: (ROOT / name).read_text() for name in pages()}
README = PAGES["README.md"]
NUMBER = r"\d+\.\d+"
NOT_RUN = [block for page in PAGES for block in blocks(page) if block.not_run is not None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with experiments/ and the kept trials, and one Ray for all commands."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("experiments", "docs/results/trials"):
        shutil.copytree(ROOT / name, folder / name)
    made = ROOT / "results" / "quickstart"
    if len(list(made.glob("trial_*/complete.json"))) == 36:
        # `make demo` has just run. Its trials are not trained again.
        shutil.copytree(made, folder / "results" / "quickstart")
    with pytest.MonkeyPatch.context() as patch:
        # One worker per run: starting a second one, which imports torch, takes longer than these trials.
        patch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 1}')
        start_ray("local")
        patch.chdir(folder)
        yield folder
    ray.shutdown()


@pytest.fixture
def tables() -> Iterator[None]:
    """Restore the tables to which a page adds rows."""
    before = [(table, dict(table)) for table in (METHODS, DATASETS, NETWORKS)]
    yield
    for table, rows in before:
        table.clear()
        table.update(rows)


def is_run(block: Block) -> bool:
    return block.not_run is None and block.language in ("bash", "python")


def without_numbers(text: str) -> str:
    """Return a text without spaces and numbers: the last digits of a result vary between CPU types."""
    return re.sub(rf"{NUMBER}|\s", "", text)


@pytest.mark.ray
def test_make_demo_prints_the_table_of_the_readme(folder: Path) -> None:
    commands = re.findall(r"-m dynsparse\.cli (.*)", (ROOT / "Makefile").read_text())
    assert [command.split()[0] for command in commands] == ["run", "table"]
    printed = [dynsparse_command(f"dynsparse {command}") for command in commands][-1]
    [shown] = re.findall(r"<!-- demo -->\n```text\n(.*?)```", README, flags=re.S)
    assert without_numbers(printed) == without_numbers(shown)
    numbers = [[float(each) for each in re.findall(NUMBER, text)] for text in (printed, shown)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.05)


@pytest.mark.ray
@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("page", [page for page in PAGES if any(is_run(each) for each in blocks(page))])
def test_every_block_runs(page: str, folder: Path) -> None:
    session, printed = Session(), None
    for block in blocks(page):
        if block.language == "text" and printed is not None:
            assert without_numbers(block.text) in without_numbers(printed), f"{block.place} is not what is printed"
        elif is_run(block):
            started = time.monotonic()
            printed = session.run(block)
            print(f"{block.place}: {time.monotonic() - started:.1f} s\n{printed}")
        else:
            printed = None


@pytest.mark.parametrize("block", NOT_RUN, ids=lambda block: block.place)
def test_what_is_not_run(block: Block) -> None:
    assert len(str(block.not_run).split()) >= 3, "the reason is not clear"
    pytest.skip(f"{block.place} is not run: {block.not_run}")


def test_every_block_has_a_language() -> None:
    for page in PAGES:
        for block in blocks(page):
            assert block.language in ("bash", "python", "text") or block.language.startswith("{"), block.place


def test_every_page_is_in_the_index() -> None:
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts}
    assert there == set(PAGES) - {"README.md"}


def test_ray_has_the_options_that_are_shown() -> None:
    """These commands cannot run here: they would open a port to the network."""
    lines = [line for block in blocks("docs/how_to/clusters.md") for line in block.text.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("ray ")]
    assert len(commands) == 3
    ray_program = Path(sys.executable).with_name("ray")
    help_of = {
        name: subprocess.run([ray_program, name, "--help"], capture_output=True, text=True, check=True).stdout.split()
        for name in {name for _, name, *_ in commands}
    }
    for _, name, *options in commands:
        assert {option.partition("=")[0] for option in options} <= set(help_of[name])


def test_links_and_named_files_exist() -> None:
    # By the reader, and by `make docs`.
    written_later = {"docs/_build/html/index.html"}
    n_links = 0
    for page in (ROOT / name for name in (*PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")):
        text = page.read_text()
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
        files = re.findall(r"`((?:dynsparse|analysis|experiments|tests|benchmarks|docs)/[\w/]+\.\w+)`", text)
        n_links += len(links)
        for name in filter(None, links):
            assert (page.parent / name).exists(), (page, name)
        for name in set(files) - written_later:
            assert (ROOT / name).exists(), (page, name)
    assert n_links > 10


def test_the_readme_fits_on_three_screens() -> None:
    assert len(README.splitlines()) <= 150


def test_experiments_are_listed_with_their_number_of_trials() -> None:
    from dynsparse.experiment import load_experiment

    listed = dict(re.findall(r"^\| `(\w+\.py)` \| (\d+) \|", PAGES["docs/tutorials/first_grid.md"], flags=re.M))
    files = {path.name: path for path in (ROOT / "experiments").glob("*.py") if path.stem != "__init__"}
    assert {name: int(n) for name, n in listed.items()} == {
        name: len(load_experiment(path).configs()) for name, path in files.items()
    }


def test_methods_are_listed() -> None:
    text = PAGES["docs/reference/words.md"] + "\n"
    [paragraph] = re.findall(r"^\[Methods\]\(methods.md\) \(`model`\): (.*?)\n\n", text, flags=re.M | re.S)
    assert set(re.findall(r"`(\w+)`", paragraph.split(". ")[0])) == set(METHODS)


def test_the_fields_that_rules_read_and_methods_have_are_described() -> None:
    from dataclasses import fields

    from dynsparse.methods import Method
    from dynsparse.ops.scores import STATISTICS, Layer

    [table] = re.findall(r"^\| in `needs` .*?\n\n", PAGES["docs/reference/methods.md"], flags=re.M | re.S)
    assert re.findall(r'^\| `"(\w+)"`', table, flags=re.M) == list(STATISTICS)
    of_method = [field.name for field in fields(Method)]
    for path, names in {"methods/base.py": of_method, "ops/scores.py": Layer._fields}.items():
        source = (ROOT / "dynsparse" / path).read_text()
        # The comments that Sphinx shows. A colon in the first line would end a type.
        described = re.findall(r"\n\n?(?:    #: [^:\n]*\n)(?:    #: .*\n)*    (\w+): ", source)
        assert set(names) <= set(described), set(names) - set(described)


def test_every_public_function_of_analysis_is_in_the_reference() -> None:
    import analysis
    import analysis.output
    import analysis.plots

    of_output = set(analysis.output.__all__) - set(analysis.__all__)
    for page, public in {"analysis": analysis.__all__, "plots": [*analysis.plots.__all__, *of_output]}.items():
        named = re.findall(r"^\.\. autofunction:: (\w+)$", PAGES[f"docs/reference/{page}.md"], flags=re.M)
        assert sorted(named) == sorted(public)
