"""A network from a trial's folder: it is the one of the last row; pruning, compression, modules."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from support.trained_trials import read_rows, train
from torch import Tensor

from dynsparse.data import load_dataset
from dynsparse.export.modules import KWinners, SparseLinear
from dynsparse.export.network import Trained, compressed, load_network, module, pruned
from dynsparse.export.tensor_files import csr, csr_parts
from dynsparse.io.storage import open_folder
from dynsparse.nn.functional import k_winners
from dynsparse.pruning import prune_units
from dynsparse.random import Purpose, Stream, noise
from dynsparse.results.trial_folder import TrialFolder

pytestmark = pytest.mark.usefixtures("one_thread")

# A boost that fades fast, so that another epoch's gives other numbers.
BOOSTED = dict(kwinners=True, boost_strength=4.0, boost_strength_factor=0.2)
SWEEP = dict(study="sweep", sparsities=(0, 0.5, 0.9))
TICKET = dict(study="ticket", prune_iter=2, epochs=2)


def logits(trained: Trained) -> Tensor:
    with torch.inference_mode():
        return module(trained)(load_dataset("digits").test_x)


def assert_is_of_row(trained: Trained, row: dict, *, loss_to: float = 1e-5) -> None:
    """The accuracy of the row, to one example where rounding decides; and its loss, which shows much less."""
    target, found = load_dataset("digits").test_y, logits(trained)
    accuracy = (found.argmax(1) == target).double().mean().item()
    assert accuracy == pytest.approx(row["val_acc"], abs=1.01 / len(target))
    assert F.cross_entropy(found, target).item() == pytest.approx(row["val_loss"], rel=loss_to)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep over units at last: its engine ends with the network that has 0.9 of them pruned."""
    return train(tmp_path_factory.mktemp("sweep"), **SWEEP)


# Reading


@pytest.mark.parametrize("engine", ["torch", "sparse"])
@pytest.mark.parametrize(
    "values",
    [
        dict(),
        dict(model="RigL"),
        dict(model="GMP", on_perc=0.1, epochs=4),
        dict(network="MLP", hidden_sizes=()),
        dict(kwinners=True, percent_on=0.2),
        dict(model="SET", k_inference_factor=1.5, **BOOSTED),
        dict(kwinners=True, **TICKET),
    ],
    ids=["dense", "sparse", "gmp", "linear", "kwinners", "boosted", "ticket"],
)
def test_a_network_is_the_one_that_its_last_row_is_of(tmp_path: Path, engine: str, values: dict) -> None:
    path = train(tmp_path, engine=engine, **values)
    trained = load_network(path)
    assert trained.row == read_rows(path)[-1]
    assert trained.remarks == ()
    # Between two units that are equal to rounding, another one may win.
    assert_is_of_row(trained, read_rows(path)[-1], loss_to=1e-3 if trained.winners else 1e-5)
    n_active, n = (sum(int(f(mask)) for mask in trained.masks) for f in (torch.sum, torch.numel))
    assert n_active / n == trained.row["density"]
    assert all(bool((weight[~mask] == 0).all()) for weight, mask in zip(trained.weights, trained.masks, strict=True))


@pytest.mark.parametrize("values", [dict(), dict(model="SET", dropout=0.2), dict(kwinners=True)])
def test_batch_norm_comes_with_its_running_moments(tmp_path: Path, values: dict) -> None:
    path = train(tmp_path, batch_norm=True, **values)
    trained = load_network(path)
    assert [len(each) for each in trained.variances] == [40, 30]
    assert_is_of_row(trained, read_rows(path)[-1], loss_to=1e-3 if trained.winners else 1e-5)


def test_the_boost_is_that_of_the_last_test(tmp_path: Path) -> None:
    # It fades after each epoch, the last one too: three tests, two times.
    assert load_network(train(tmp_path, **BOOSTED)).boost == pytest.approx(4.0 * 0.2**2)
    # A ticket that goes back to its first weights begins each round, of two epochs, with the whole boost.
    assert load_network(train(tmp_path, **BOOSTED, **TICKET)).boost == pytest.approx(4.0 * 0.2)
    for epochs, boost in ((1, 4.0), (2, 0.0)):
        path = train(tmp_path, **{**BOOSTED, "boost_strength_factor": 0, "epochs": epochs})
        assert load_network(path).boost == boost


def test_the_network_of_a_sweep_is_the_trained_one_not_the_last_pruned_one(sweep: Path) -> None:
    trained, rows = load_network(sweep), read_rows(sweep)
    assert trained.row == rows[2] and "pruning" not in trained.row
    assert_is_of_row(trained, rows[2])


def test_a_sweep_with_k_winners_keeps_its_duty_cycles(tmp_path: Path) -> None:
    path = train(tmp_path, **SWEEP, **BOOSTED)
    assert_is_of_row(load_network(path), read_rows(path)[2], loss_to=1e-3)


def test_a_trial_that_is_not_complete_gives_what_it_has_come_to(tmp_path: Path) -> None:
    path = train(tmp_path, epochs=5, n_rows=2)
    trained = load_network(path)
    assert trained.row == read_rows(path)[1]
    assert trained.remarks == ("The trial was not complete: this is its network after row 2 of 5.",)
    assert_is_of_row(trained, trained.row)


def test_a_mask_update_after_the_test_is_remarked(tmp_path: Path) -> None:
    trained = load_network(train(tmp_path, model="SET", n_rows=2))
    assert trained.remarks[1].startswith("A mask update came after the results were measured")


def test_a_uri_is_read_like_a_path(sweep: Path) -> None:
    assert torch.equal(logits(load_network(f"file://{sweep}")), logits(load_network(str(sweep))))


def test_a_damaged_checkpoint_is_remarked_and_an_older_one_taken(tmp_path: Path) -> None:
    path = train(tmp_path, n_rows=2)
    # As the run that went on has left it.
    lines = (path / "result.json").read_bytes()
    (path / "result.json").write_bytes(lines + json.dumps({"training_iteration": 3}).encode() + b"\n")
    (path / "checkpoint_000003.pt").write_bytes(b"torn")
    trained = load_network(path)
    assert trained.row["training_iteration"] == 2
    assert trained.remarks[0].startswith("checkpoint_000003.pt: the checksum does not match")


def test_what_is_no_trained_trial_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^The folder '.*nowhere' does not exist or is empty\. Give the folder of a trial\.$"
    ):
        load_network(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(
        ValueError, match=r"other' is not the folder of a trial: it has no params\.json\. Give the folder of a trial\.$"
    ):
        load_network(tmp_path / "other")

    path = train(tmp_path / "experiment", n_rows=1)
    with pytest.raises(ValueError, match=rf"experiment' is the folder of an experiment\. .*: {path.name}\.$"):
        load_network(path.parent)
    for number in range(12):
        (path.parent / f"trial_{number:02}").mkdir()
    with pytest.raises(ValueError, match=r": trial_00, .*trial_09 and 3 more\.$"):
        load_network(path.parent)

    (path / "checkpoint_000001.pt").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"has no checkpoint of a trained network \(rows: 1; checkpoint_000001\.pt:"):
        load_network(path)
    (path / "params.json").write_text('{"on_prec": 0.1}')
    message = r"no configuration that this version can read \(params\.json: Unknown key 'on_prec'.*[?.]\)\.$"
    with pytest.raises(ValueError, match=message):
        load_network(path)


# Pruning and compressing


def test_pruned_networks_are_those_of_the_sweep(sweep: Path) -> None:
    trained, rows = load_network(sweep), read_rows(sweep)[3:]
    assert len(rows) == 6
    for row in rows:
        each = pruned(trained, row["pruning"], row["sparsity"])
        assert_is_of_row(each, row)
        n_active, n = (sum(int(f(mask)) for mask in each.masks) for f in (torch.sum, torch.numel))
        assert n_active / n == row["density"]
    assert torch.equal(logits(pruned(trained, "unit", 0)), logits(trained))

    # The last one is the one that the sweep's engine has.
    state = TrialFolder(open_folder(str(sweep))).load_checkpoint(9, dict)
    assert state is not None
    for name in ("weights", "biases", "masks"):
        assert all(torch.equal(a, b[0]) for a, b in zip(getattr(each, name), state["engine"][name], strict=True))
    assert each.remarks == ("After training it was pruned: units, sparsity 0.9, prune_scope layer.",)
    assert trained.remarks == ()


def test_units_with_batch_norm_are_those_of_the_sweep(tmp_path: Path) -> None:
    path = train(tmp_path, **SWEEP, prune_kinds=["unit"], batch_norm=True)
    trained, rows = load_network(path), read_rows(path)[3:]
    assert [row["sparsity"] for row in rows] == [0, 0.5, 0.9]
    for row in rows:
        each = pruned(trained, "unit", row["sparsity"])
        assert_is_of_row(each, row)
        kept = [mask.any(1) for mask in each.masks[:-1]]
        assert [int(units.sum()) for units in kept] == [round(n * (1 - row["sparsity"])) for n in (40, 30)]
        for layers in (each.gains, each.shifts, each.biases):
            assert not any(layer[~units].any() for layer, units in zip(layers, kept, strict=False))


def test_a_sweeps_keys_are_read_where_it_prunes(tmp_path: Path) -> None:
    path = train(tmp_path, **SWEEP, prune_kinds=["weight"], prune_scope="global", prune_last_layer=True)
    trained = load_network(path)
    for row in read_rows(path)[3:]:
        assert_is_of_row(pruned(trained, "weight", row["sparsity"]), row)


def test_noise_of_the_trials_seed_decides_between_equal_units(sweep: Path) -> None:
    trained = load_network(sweep)
    alike = [torch.ones_like(each) for each in trained.weights]
    found = pruned(replace(trained, weights=alike), "unit", 0.5)
    ties = [noise(tuple(each.shape), Stream(0, Purpose.PRUNE_TRAINED, layer=layer)) for layer, each in enumerate(alike)]
    expected = prune_units(alike, trained.biases, 0.5, ties)
    assert [int(units.sum()) for units in expected.kept] == [20, 15, 10]
    assert all(torch.equal(mask.any(1), units) for mask, units in zip(found.masks, expected.kept, strict=True))


def test_what_cannot_be_pruned_is_refused(sweep: Path) -> None:
    trained = load_network(sweep)
    with pytest.raises(ValueError, match=r"^sparsity must be in \[0, 1\], got 1\.5\.$"):
        pruned(trained, "unit", 1.5)
    with pytest.raises(ValueError, match=r"^Unknown kind 'units'\. Did you mean 'unit'\? Available: weight, unit\.$"):
        pruned(trained, "units", 0.5)
    with pytest.raises(ValueError, match=r"^A compressed network cannot be pruned\. Prune it before"):
        pruned(compressed(pruned(trained, "unit", 0.5)), "unit", 0.5)


def test_compressing_leaves_the_outputs_as_they_are(sweep: Path) -> None:
    trained = load_network(sweep)
    for kind, sparsity in (("unit", 0.9), ("weight", 0.9), ("unit", 0.0)):
        before = pruned(trained, kind, sparsity)
        after = compressed(before)
        torch.testing.assert_close(logits(after), logits(before), rtol=1e-5, atol=1e-5)
    assert compressed(pruned(trained, "unit", 0.9)).sizes == [64, 4, 3, 10]
    # Without hidden units each example gets the last biases.
    assert compressed(pruned(trained, "unit", 1.0)).sizes == [64, 0, 0, 10]
    nothing = logits(compressed(pruned(trained, "unit", 1.0)))
    assert torch.equal(nothing, trained.biases[-1].expand(360, -1))


def test_batch_norm_becomes_part_of_a_compressed_network(tmp_path: Path) -> None:
    trained = load_network(train(tmp_path, batch_norm=True, model="RigL"))
    before = pruned(trained, "unit", 0.9)
    after = compressed(before)
    assert before.gains and not after.gains and after.sizes == [64, 4, 3, 10]
    torch.testing.assert_close(logits(after), logits(before), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits(compressed(trained)), logits(trained), rtol=1e-4, atol=1e-5)


def test_k_winners_are_not_compressed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^A network to compress must be without k-winners: how many units win"):
        compressed(load_network(train(tmp_path, epochs=1, kwinners=True)))


# Modules


def test_k_winners_of_one_example() -> None:
    # Boosted, it is [3, 2, 0.5, 4, -1]: units 0 and 3 win, and keep what they were.
    winners = KWinners(5, k=2)
    winners.factor = torch.tensor([1.0, 1.0, 0.1, 2.0, 1.0])
    assert winners(torch.tensor([[3.0, 2.0, 5.0, 2.0, -1.0]])).tolist() == [[3.0, 0.0, 0.0, 2.0, 0.0]]


def test_k_winners_are_those_of_training() -> None:
    generator = torch.Generator().manual_seed(0)
    x, duty = torch.randn(50, 40, generator=generator), torch.rand(40, generator=generator)
    winners = KWinners(40, k=7)
    winners.factor = torch.exp(-1.5 * duty)
    assert torch.equal(winners(x), k_winners(x[None], [7], torch.tensor([1.5]), duty[None])[0])
    assert int(winners(x).ne(0).sum()) == 50 * 7


def test_a_sparse_layer_is_a_dense_one_with_zeros() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 5, generator=generator) * (torch.rand(6, 5, generator=generator) < 0.4)
    bias, x = torch.randn(6, generator=generator), torch.randn(3, 5, generator=generator)
    layer = SparseLinear(5, 6)
    layer.weight, layer.bias = csr(*csr_parts(weight, weight.ne(0)), weight.shape), bias
    for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad):
        with mode():
            torch.testing.assert_close(layer(x), F.linear(x, weight, bias))
    assert repr(layer) == f"SparseLinear(5, 6, {int(weight.ne(0).sum())} active weights)"


def test_a_module_is_ready_for_inference_and_stands_by_itself(sweep: Path) -> None:
    trained = load_network(sweep)
    model, before = module(trained), trained.weights[0].clone()
    assert not model.training
    assert [type(each).__name__ for each in model] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    model(torch.ones(2, 64)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert torch.equal(trained.weights[0], before) and not torch.equal(model[0].weight, before)
