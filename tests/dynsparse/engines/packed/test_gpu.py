"""Test the packed engine on a GPU: a recorded step equals the step, and nothing waits for the device."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from dynsparse.config import Config
from dynsparse.engines.packed import cuda_graph as graph
from dynsparse.engines.packed import engine as packed_engine
from dynsparse.engines.packed.engine import PackedEngine
from dynsparse.ops import masks
from dynsparse.training.trainer import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

# 14 batches of 100, which are recorded and replayed, and one of 37, which is not.
DIGITS = {"dataset_name": "digits", "hidden_sizes": [100, 40], "batch_size": 100, "learning_rate": 0.05, "epochs": 8}
TRIALS = [{"seed": seed, "on_perc": 0.2 + 0.1 * i, "percent_on": 0.2 + 0.05 * i} for i, seed in enumerate([1, 1, 2, 2])]
VALUES: list[dict[str, Any]] = [
    {"kwinners": True},
    {"kwinners": True, "boost_strength": 300.0, "boost_strength_factor": 1.0},
    {"model": "RigL"},
    {"model": "SNFS", "optim_alg": "Adam", "learning_rate": 0.002, "kwinners": True},
    {"model": "GMP"},
    {"model": "GraNet", "initial_density": 0.7},
    {"model": "SRigL", "salient_share": 0.6},
    {"model": "SNIP"},
]


def trainer(**values: Any) -> Trainer:
    each = Trainer([Config.of({"device": "cuda", **DIGITS, **values, **trial}) for trial in TRIALS])
    assert isinstance(each.engine, PackedEngine) or values.get("engine") == "torch"
    return each


@pytest.mark.parametrize("values", VALUES, ids=str)
def test_a_recorded_step_gives_what_the_step_gives(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = trainer(**values)
    rows = [recorded.step() for _ in range(4)]
    monkeypatch.setattr(packed_engine, "make_step_runner", lambda device: graph.run_directly)
    eager = trainer(**values)
    for row, expected in zip(rows, [eager.step() for _ in range(4)], strict=True):
        for each, other in zip(row, expected, strict=True):
            assert each == pytest.approx(other, rel=1e-4, abs=1e-4, nan_ok=True)
    torch.testing.assert_close(recorded.state_dict(), eager.state_dict(), rtol=1e-4, atol=1e-4)
    assert recorded.engine.state_dict()["n_steps"] == 4 * 15


def test_a_recorded_step_goes_on_from_a_loaded_state() -> None:
    each = trainer(kwinners=True)
    each.step()
    state = copy.deepcopy(each.state_dict())
    rows = [each.step() for _ in range(3)]
    each.load_state_dict(state)
    for row, expected in zip([each.step() for _ in range(3)], rows, strict=True):
        for mine, other in zip(row, expected, strict=True):
            assert mine == pytest.approx(other, rel=1e-4, abs=1e-4, nan_ok=True)


@pytest.mark.parametrize("values", VALUES, ids=str)
def test_the_first_epochs_are_those_of_a_cpu(values: dict[str, Any]) -> None:
    on_gpu, on_cpu = trainer(**values), trainer(**values, device="cpu", engine="packed")
    for _ in range(2):
        for row, expected in zip(on_gpu.step(), on_cpu.step(), strict=True):
            assert row == pytest.approx(expected, rel=1e-3, abs=1e-2, nan_ok=True)
    for a, b in zip(on_gpu.engine.masks, on_cpu.engine.masks, strict=True):
        assert (a.cpu() == b).double().mean() > 0.999


@pytest.mark.parametrize("engine", ["packed", "torch"])
def test_with_tf32_it_learns_as_well_and_the_setting_is_put_back(engine: str) -> None:
    def setting() -> object:
        products = torch.backends.cuda.matmul
        return products.fp32_precision if hasattr(products, "fp32_precision") else products.allow_tf32

    before = setting()
    accuracies = []
    for precision in ("float32", "tf32"):
        each = trainer(kwinners=True, model="Dense", precision=precision, engine=engine)
        assert each.plan.precision == precision
        rows = [each.step() for _ in range(5)][-1]
        accuracies.append([row["val_acc"] for row in rows if row is not None])
        assert setting() == before
    for one, other in zip(*accuracies, strict=True):
        assert one > 0.85
        assert one == pytest.approx(other, abs=0.05)


def test_coactivations_are_counted_exactly() -> None:
    counts = []
    for device in ("cuda", "cpu"):
        each = trainer(device=device, engine="packed", learning_rate=0.0, weight_decay=0.0)
        # Without learning the network is the same for all batches; `end_epoch` would forget the counts.
        each._train_epoch()
        assert isinstance(each.engine, PackedEngine)
        counts.append([total.cpu() for total in each.engine._coactivation])
    first_gpu, first_cpu = counts[0][0], counts[1][0]
    # A unit whose sum is zero but for rounding may count on one device and not on the other.
    assert (first_gpu == first_cpu).double().mean() > 0.999
    assert all(torch.equal(each, each.round()) for each in counts[0])


def test_a_mask_update_does_not_wait_for_the_device() -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.randint(-2, 3, (5, 100, 784), generator=generator).float()
    noise = torch.randint(-(2**31), 2**31, score.shape, generator=generator, dtype=torch.int32)
    among = torch.randint(0, 3, score.shape, generator=generator)
    number = torch.tensor([0, 1, 5000, 60000, 78400])
    on_gpu = [each.cuda() for each in (score, number, noise, among)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        chosen = masks.highest(*on_gpu)
        winners = masks.select_highest(on_gpu[0], on_gpu[1][:, None])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(chosen.cpu(), masks.highest(score, number, noise, among))
    assert torch.equal(winners.cpu(), masks.select_highest(score, number[:, None]))


def test_batches_of_another_length_are_run_as_they_are() -> None:
    seen: list[int] = []
    total = torch.zeros((), dtype=torch.int64, device="cuda")

    def step(index: torch.Tensor) -> None:
        seen.append(index.shape[1])
        total.add_(index.sum())

    run = graph.make_step_runner(torch.device("cuda"))
    for number in range(10):
        run(step, torch.full((1, 4), number, device="cuda"))
    run(step, torch.full((1, 3), 100, device="cuda"))
    assert total.item() == 4 * sum(range(10)) + 300
    # The recording itself computes nothing; the replays do not come by here.
    assert seen == [4] * (graph.WARM_UP + 1) + [3]
