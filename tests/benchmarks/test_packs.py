"""The benchmark of packs runs whole without Ray, its checks see what is wrong, and its least times are right."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.idx_files import idx, write_idx

from dynsparse.data import DATASETS, load_dataset
from dynsparse.engines.packed import engine as packed_engine
from experiments.mlp_heb import experiment

ROOT = Path(__file__).parents[2]
# At the end: a benchmark has names of its own for files, which must not stand before those of tests.
sys.path.append(str(ROOT / "benchmarks"))

import packs  # noqa: E402
import packs_checks  # noqa: E402
import packs_grid  # noqa: E402
import packs_machine  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

# All of the project's packages that a machine with torch alone has not.
NOT_THERE = ("ray", "torchvision", "sklearn", "pandas", "numba", "scipy", "tabulate", "click", "orjson")
TINY = {"--images": 200, "--repeats": 1, "--calls": 1, "--steps": 1, "--width": 3, "--trials": 4}


def run(tmp_path: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Return the output and the results of the script, run without Ray and without the data."""
    options = [str(each) for pair in TINY.items() for each in pair] + ["--device", "cpu", *arguments]
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({NOT_THERE!r})); sys.path.append('benchmarks')\n"
        f"sys.argv[1:] = {[*options, '--json', str(tmp_path / 'found.json')]!r}\n"
        "runpy.run_path('benchmarks/packs.py', run_name='__main__')"
    )
    where = {"DYNSPARSE_DATA_DIR": str(tmp_path / "no_data"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **where}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout, json.loads((tmp_path / "found.json").read_text())


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the script has it where MNIST is not there."""
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", str(tmp_path))
    # So that it is put back.
    monkeypatch.setitem(DATASETS, packs_grid.DATA, DATASETS["MNIST"])
    packs_grid.register_data(1280)


@pytest.mark.faults
def test_it_runs_whole_without_ray_and_says_what_the_data_are(tmp_path: Path) -> None:
    said, found = run(tmp_path, "--widths", "1", "4", "--epochs", "1", "--singles", "2")
    assert "made-up images of MNIST's shape, because MNIST is not there: 200 images to train on, 33 to test" in said
    assert found["complete"]
    assert "made-up" in found["data"]
    assert all(check["is_right"] for check in found["check"].values())
    assert len(found["check"]) == 3
    assert [each["width"] for each in found["widths"]] == [1, 4]
    assert found["phases"]["step"].keys() == packs_machine.work_of_step(packs_grid.SIZES, 3, 128).keys()
    assert all(each > 0 for each in found["phases"]["epoch"].values())
    # Four of the grid, two with k-winners and two without.
    assert [pack["trials"] for pack in found["grid"]["packs"]] == [2, 2]
    assert {pack["engine"] for pack in found["grid"]["packs"]} == {"PackedEngine"}
    assert found["grid"]["whole_seconds_measured"] is None
    assert "Not measured: --whole runs all epochs" in said
    assert len(found["grid"]["epochs_one_at_a_time"]) == 2
    assert found["tf32"] == {"skipped": "a CPU has no tf32"}


@pytest.mark.faults
def test_the_whole_grid_is_measured_where_all_epochs_are_run(tmp_path: Path) -> None:
    said, found = run(tmp_path, "--parts", "grid", "--whole", "--singles", "1", "--storage", str(tmp_path))
    grid = found["grid"]
    assert [len(pack["epochs"]) for pack in grid["packs"]] == [30, 30]
    assert [len(pack["checkpoints"]) for pack in grid["packs"]] == [6, 6]
    assert grid["whole_seconds_measured"] == grid["wall_seconds"] > sum(sum(pack["epochs"]) for pack in grid["packs"])
    assert "4 trials of 30 epochs, all run, results on the disk" in said
    assert "check" not in found


def options(tmp_path: Path, seconds: float) -> argparse.Namespace:
    path = str(tmp_path / "found.json")
    return argparse.Namespace(device="cpu", seconds=seconds, parts=["widths", "grid"], json=path)


def test_a_part_for_which_no_time_is_left_is_skipped_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = packs.Bench(options(tmp_path, seconds=0))
    bench.do("grid", "The grid", lambda: pytest.fail("it was begun"))
    bench.do("tf32", "Not asked for", lambda: pytest.fail("it was begun"))
    assert "The grid: skipped, 0 s are left and it takes about 60" in capsys.readouterr().out
    assert "skipped" in json.loads((tmp_path / "found.json").read_text())["grid"]
    assert "tf32" not in bench.found


def test_a_part_that_raises_is_told_of_and_the_others_go_on(tmp_path: Path) -> None:
    bench = packs.Bench(options(tmp_path, seconds=1000))
    bench.do("widths", "Widths", lambda: [][1])
    bench.do("grid", "The grid", lambda: {"trials": 432})
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["widths"] == {"error": "IndexError: list index out of range"}
    assert written["grid"] == {"trials": 432}
    assert bench.has_failed


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"a recorded step": {"is_right": False}, "ReLU": {"is_right": True}}, "the check failed: a recorded step; so"),
        (
            {"error": "RuntimeError: out of memory"},
            "the check failed: RuntimeError: out of memory; so nothing is timed",
        ),
    ],
)
def test_nothing_is_timed_after_a_check_that_failed(tmp_path: Path, found: dict[str, Any], message: str) -> None:
    bench = packs.Bench(options(tmp_path, seconds=1000))
    bench.found["check"] = found
    with pytest.raises(SystemExit, match=message):
        packs.stop_if_wrong(bench)
    bench.found["check"] = {"ReLU": {"is_right": True}}
    packs.stop_if_wrong(bench)


@pytest.mark.usefixtures("data")
def test_the_check_beside_the_torch_engine_sees_a_wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    assert packs_checks.beside_torch("cpu", kwinners=True)["is_right"]
    right = packed_engine.backward_

    def wrong(*arguments: Any) -> None:
        right(*arguments)
        for gradient in arguments[-1]:
            gradient.mul_(0.9)

    monkeypatch.setattr(packed_engine, "backward_", wrong)
    assert not packs_checks.beside_torch("cpu", kwinners=True)["is_right"]


@pytest.mark.usefixtures("data")
def test_the_check_of_places_sees_a_trial_that_follows_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert packs_checks.at_two_places("cpu", 4)["is_right"]
    right = packed_engine.backward_

    def wrong(*arguments: Any) -> None:
        right(*arguments)
        # The last place alone, and by little.
        arguments[-1][0][-1].mul_(1 + 1e-6)

    monkeypatch.setattr(packed_engine, "backward_", wrong)
    found = packs_checks.at_two_places("cpu", 4)
    assert not found["is_right"]
    assert found["trials_that_differ"] == [0, 3]


@pytest.mark.usefixtures("data")
def test_the_check_of_recorded_steps_sees_one_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a CPU nothing is recorded: both are the step.
    assert packs_checks.recorded("cpu")["is_right"]

    def leaves_out_the_shorter(step: Callable[[torch.Tensor], None], index: torch.Tensor) -> None:
        if index.shape[1] == packs_grid.BATCH:
            step(index)

    monkeypatch.setattr(packed_engine, "make_step_runner", lambda device: leaves_out_the_shorter)
    found = packs_checks.recorded("cpu")
    assert not found["is_right"]
    assert found["steps"] == [16, 18]


def test_the_grid_is_that_of_the_experiment() -> None:
    assert packs_grid.grid_2019("MNIST") == experiment.configs()
    assert len(packs_grid.spread(packs_grid.grid_2019("MNIST"), 4)) == 4


def test_files_of_mnist_are_read_without_torchvision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    numbers = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(packs_grid.read_idx(idx(numbers)), numbers)
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(DATASETS, packs_grid.DATA, DATASETS["MNIST"])
    write_idx(tmp_path, "MNIST")
    assert packs_grid.register_data(60_000) == "MNIST: 120 images to train on, 50 to test"
    ours, theirs = load_dataset(packs_grid.DATA), load_dataset("MNIST")
    assert torch.equal(ours.train_x, theirs.train_x)
    assert torch.equal(ours.test_x, theirs.test_x)
    assert torch.equal(ours.train_y, theirs.train_y)
    assert torch.equal(ours.test_y, theirs.test_y)


def test_made_up_images_are_as_mnist_is() -> None:
    train_x, train_y, test_x, test_y = packs_grid.made_up(6000)
    assert (train_x.shape, train_x.dtype, test_x.shape) == ((6000, 784), np.uint8, (1000, 784))
    assert (len(train_y), len(test_y), set(train_y)) == (6000, 1000, set(range(10)))
    assert 0.15 < (train_x > 0).mean() < 0.25


def test_the_work_of_a_step_of_a_network_that_can_be_counted_by_hand() -> None:
    # 3 inputs, 2 and 4 hidden units, 1 output: 6 + 8 + 4 weights and 7 biases. 5 trials, 10 examples.
    work = packs_machine.work_of_step((3, 2, 4, 1), n_trials=5, n_batch=10)
    # Each weight multiplies and adds once for each of 50 examples: 300 in the first layer, 600 behind it.
    assert work["products forward"][1:] == (600, 1200)
    # Backward once for the gradients of weights and, behind the first layer, once for those of units.
    assert work["products backward"][1:] == (600, 2400)
    assert work["coactivation"][1:] == (600, 1200)
    # 30 numbers of images; 6 hidden units and 1 output of 50 examples; 25 parameters of 5 trials.
    assert work["images"].n_bytes == 4 * (30 + 30)
    assert work["products forward"].n_bytes == 4 * (30 + 300 + 125 + 350)
    assert work["k-winners"].n_bytes == 4 * (300 + 300)
    assert work["loss"].n_bytes == 4 * (50 + 50)
    # Gradients of 7 units in; images and 6 units in; 12 weights in; 25 gradients out; gradients of 6 units out.
    assert work["products backward"].n_bytes == 4 * (350 + 330 + 60 + 125 + 300)
    # Images and 7 units in; 18 counts in and out.
    assert work["coactivation"].n_bytes == 4 * (30 + 350 + 90 + 90)
    # Values and velocities in and out, gradients in, each 4 bytes, and masks of 1 byte.
    assert work["update"].n_bytes == 125 * (4 * 5 + 1)


def test_the_least_time_is_the_longer_of_memory_and_products() -> None:
    work = {
        "copy": packs_machine.Work(4000),
        "coactivation": packs_machine.Work(1000, 600, 800),
        "forward": packs_machine.Work(1000, 600, 800),
    }
    rates = packs_machine.Rates(1e6, {"float32": 1e5, "tf32": 3e5}, {"float32": 2e5, "tf32": 4e5})
    # Of products 6 + 4 ms in float32, 2 + 2 in tf32; of memory 1 ms.
    least = packs_machine.least_milliseconds(work, rates, "float32")
    assert least == pytest.approx({"copy": 4, "coactivation": 4, "forward": 10})
    assert packs_machine.least_milliseconds(work, rates, "tf32")["forward"] == pytest.approx(4)
    on_cpu = packs_machine.Rates(1e6, {"float32": 1e5}, {"float32": 2e5})
    assert packs_machine.least_milliseconds(work, on_cpu, "float32")["coactivation"] == pytest.approx(10)
