"""Regression: losses, gradients and scores against torch and scikit-learn; all engines; what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.neural_network import MLPRegressor
from support.doctests import run_examples
from torch import Tensor, nn

from dynsparse.config import Config, ConfigError
from dynsparse.data import DataError, Dataset, load_data, load_dataset, split
from dynsparse.data.augmentation import crop
from dynsparse.data.own import OwnData
from dynsparse.engines import choose_for_config, start
from dynsparse.engines.base import Sums
from dynsparse.nn.modules import MODULES
from dynsparse.ops.losses import class_weights, squared_error
from dynsparse.planning.plan import keys_read, plan
from dynsparse.results.trial_folder import identity
from dynsparse.training.metrics import RegressionScores
from dynsparse.training.trainer import Row, Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

BASE: dict[str, Any] = {
    "dataset_name": "sklearn:diabetes", "loss": "mse", "test_fraction": 0.2, "model": "SET", "on_perc": 0.5,
    "hidden_sizes": [16, 16], "batch_size": 32, "epochs": 3, "learning_rate": 0.01, "test_noise": False,
}  # fmt: skip


def config(**values: Any) -> Config:
    return Config.of({**BASE, **values})


def trained(*trials: Config) -> tuple[Trainer, list[list[Row | None]]]:
    trainer, rows = Trainer(trials), []
    while not trainer.is_done:
        rows.append(trainer.step())
    return trainer, rows


def outputs(trainer: Trainer, x: Tensor, trial: int = 0) -> Tensor:
    """The network of a trial, layer by layer in torch."""
    weights, biases, _ = trainer.parameters()
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = F.linear(x, weight[trial], bias[trial])
        x = x.relu() if layer < len(weights) - 1 else x
    return x


# Labels


def test_labels_are_standardized_on_the_training_part_and_come_back_in_their_unit() -> None:
    data = load_data(config())
    assert (data.num_classes, data.train_y.shape, data.test_y.shape) == (1, (354, 1), (88, 1))
    assert data.train_y.dtype == torch.float32 and data.class_names == ()
    assert float(data.train_y.mean()) == pytest.approx(0, abs=1e-6)
    assert float(data.train_y.std(correction=0)) == pytest.approx(1)
    labels = np.concatenate([data.predictions(each).numpy()[:, 0] for each in (data.train_y, data.test_y)])
    np.testing.assert_allclose(np.sort(labels), np.sort(sklearn.datasets.load_diabetes().target), rtol=1e-6)
    assert data.target_mean[0] == pytest.approx(data.predictions(data.train_y).double().mean().item())


def test_the_examples_of_docstrings_run() -> None:
    for each in (Dataset.predictions, squared_error, class_weights, crop):
        run_examples(each)


def test_folds_are_disjoint_and_of_equal_size() -> None:
    parts = [load_dataset("sklearn:diabetes", own=OwnData(fold=i, n_folds=5, is_regression=True)) for i in range(5)]
    assert [len(each.test_y) for each in parts] == [89, 89, 88, 88, 88]
    rows = np.concatenate([each.test_x.numpy() / each.feature_scale + each.feature_mean for each in parts])
    assert len(np.unique(rows.round(6), axis=0)) == 442


def test_labels_of_tables_npz_files_and_functions(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(50, 3))
    y = x @ [1.0, 2.0, 3.0] + 5
    np.savez(tmp_path / "one.npz", x=x, y=y)
    np.savez(tmp_path / "two.npz", x=x, y=np.stack([y, -y], 1))
    rows = [f"{a},{b},{c},{label}" for (a, b, c), label in zip(x, y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c,price", *rows]))
    (tmp_path / "d.py").write_text(
        "import numpy as np\ndef make():\n    f = np.load('one.npz')\n    return f['x'], f['y']\n"
    )
    found: dict[str, Dataset] = {}
    for name, n_outputs in [("one.npz", 1), ("two.npz", 2), ("t.csv", 1)]:
        each = config(dataset_name=name, data_dir=str(tmp_path), target="price")
        assert each.num_classes == n_outputs
        found[name] = load_data(each)
    assert torch.equal(found["one.npz"].train_y, found["two.npz"].train_y[:, :1])
    torch.testing.assert_close(found["one.npz"].train_y, found["t.csv"].train_y)
    torch.testing.assert_close(found["two.npz"].train_y[:, 0], -found["two.npz"].train_y[:, 1])


# Training


def test_the_training_of_the_torch_engine_is_plain_torch() -> None:
    trial = config(model="Dense", epochs=1, momentum=0.9, weight_decay=0.0)
    data, ours = load_data(trial), start(plan([trial]))
    layers = [nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        for layer, weight, bias in zip(layers[::2], ours.weights, ours.biases, strict=True):
            layer.weight.copy_(weight[0])
            layer.bias.copy_(bias[0])
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    order = torch.randperm(354)
    rates = torch.full((12, 1), 0.01, dtype=torch.float64)
    sums = ours.train_epoch(ours.prepare([data.train], data.train_y[None]), order[None], epoch=1, rates=rates)
    total = 0.0
    for index in order.split(32):
        loss = F.mse_loss(net(data.train_x[index]), data.train_y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(index)
    assert float(sums.loss) == pytest.approx(total, rel=1e-5)
    for layer, weight in zip(layers[::2], ours.weights, strict=True):
        torch.testing.assert_close(weight[0], layer.weight.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dataset_name", ["sklearn:diabetes", "sklearn:linnerud"])
@pytest.mark.parametrize("engine", ["sparse", "packed"])
def test_engines_agree(engine: str, dataset_name: str) -> None:
    # linnerud has three numbers to predict.
    values = {"dataset_name": dataset_name, "model": "RigL", "batch_size": 8, "val_fraction": 0.2}
    trials = [{"seed": 0}, {"seed": 1, "learning_rate": 0.02}, {"seed": 1, "on_perc": 0.3}]
    ours, rows = trained(*[config(**values, **each, engine=engine) for each in trials])
    theirs, expected = trained(*[config(**values, **each, engine="torch") for each in trials])
    for mine, other in zip(ours.parameters().masks, theirs.parameters().masks, strict=True):
        assert torch.equal(mine, other)
    for mine, other in zip(rows, expected, strict=True):
        for row, other_row in zip(mine, other, strict=True):
            assert row == pytest.approx(other_row, rel=1e-4, abs=1e-5, nan_ok=True)


def test_auto_takes_the_sparse_engine() -> None:
    assert choose_for_config(config()) == ("sparse", None)


def test_torch_modules_can_be_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "net", lambda: nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1)))
    _, rows = trained(config(network="net", seed=3))
    _, expected = trained(config(network="MLP", hidden_sizes=[16], seed=3, engine="torch"))
    for [row], [other] in zip(rows, expected, strict=True):
        assert row is not None and other is not None
        for name in ("train_loss", "val_r2", "val_rmse"):
            assert row[name] == pytest.approx(other[name], rel=1e-5)


def test_a_resumed_trial_is_the_unbroken_one_and_a_pack_gives_what_each_gives_alone() -> None:
    trials = [config(seed=seed, val_fraction=0.1) for seed in (1, 2)]
    for engine in ("sparse", "torch"):
        same = [Config.of({**each.values(), "engine": engine}) for each in trials]
        first = Trainer(same)
        first.step()
        second = Trainer(same)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        assert repr(second.step()) == repr(first.step())
        _, alone = trained(same[1])
        _, together = trained(*same)
        for [row], rows in zip(alone, together, strict=True):
            assert row == pytest.approx(rows[1], rel=1e-5, nan_ok=True)


# Studies


@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
def test_a_sweep_tests_the_pruned_networks(engine: str) -> None:
    sparsities, values = [0.0, 0.5, 0.9], {"study": "sweep", "model": "Dense", "engine": engine}
    trial = config(**values, sparsities=sparsities, prune_biases=False, prune_last_layer=True)
    _, every = trained(trial)
    ordinary, _ = trained(config(model="Dense", engine=engine))
    data, (weights, biases, _) = load_data(trial), ordinary.parameters()
    rows = [row for [row] in every if row is not None and row.get("pruning") == "weight"]
    assert [row["sparsity"] for row in rows] == sparsities
    for sparsity, row in zip(sparsities, rows, strict=True):
        x = data.test_x
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            # All magnitudes differ, so the smallest ones are at and below a threshold.
            ranked = weight[0].abs().flatten().sort().values
            n_pruned = round(sparsity * len(ranked))
            left = weight[0] * (weight[0].abs() > (ranked[n_pruned - 1] if n_pruned else -1))
            x = F.linear(x, left, bias[0])
            x = x.relu() if layer < len(weights) - 1 else x
        predicted, right = data.predictions(x), data.predictions(data.test_y)
        assert row["val_r2"] == pytest.approx(r2_score(right, predicted), rel=1e-3, abs=1e-4)
        assert row["val_rmse"] == pytest.approx(root_mean_squared_error(right, predicted), rel=1e-4)


def test_tickets_of_all_engines_agree() -> None:
    values = {"study": "ticket", "model": "Dense", "prune_ratio": 0.8, "prune_iter": 2, "rewind_step": 3}
    _, expected = trained(config(**values, engine="torch"))
    # 10 x 16, 16 x 16 and 16 x 1 weights; the last layer is pruned at half the rate of the others.
    share = 1 - 0.2**0.5
    kept = [160 * (1 - share) ** 2, 256 * (1 - share) ** 2, 16 * (1 - share / 2) ** 2]
    [last] = expected[-1]
    assert last is not None and last["round"] == 2 and last["density"] == pytest.approx(sum(kept) / 432, abs=0.01)
    for engine in ("sparse", "packed"):
        _, rows = trained(config(**values, engine=engine))
        assert len(rows) == len(expected) == 9
        for [row], [other] in zip(rows, expected, strict=True):
            assert row == pytest.approx(other, rel=1e-4, abs=1e-5, nan_ok=True)


# Scores


def test_scores_are_those_of_scikit_learn_in_the_unit_of_the_labels() -> None:
    # Masks would change after the evaluation.
    trials = [config(seed=seed, val_fraction=0.2, pruning_active=False) for seed in (1, 2)]
    trainer, rows = trained(*trials)
    data = load_data(trials[0])
    for trial, row in enumerate(rows[-1]):
        assert row is not None
        assert not {name for name in row if "acc" in name or "ece" in name}
        _, held_out = split(data, 0.2, trials[trial].seed)
        for name, x, y in [
            ("test", data.test_x, data.test_y),
            ("val", data.train_x[held_out], data.train_y[held_out]),
        ]:
            predicted, right = data.predictions(outputs(trainer, x, trial)), data.predictions(y)
            assert row[f"{name}_r2"] == pytest.approx(r2_score(right, predicted), rel=1e-4)
            assert row[f"{name}_rmse"] == pytest.approx(root_mean_squared_error(right, predicted), rel=1e-5)
            assert row[f"{name}_loss"] == pytest.approx(float(F.mse_loss(outputs(trainer, x, trial), y)), rel=1e-5)
    # A network whose outputs are all zero predicts the mean.
    untrained = RegressionScores({"train": torch.tensor([1.0])}, unit=2.0)(
        "train", Sums(torch.tensor([8.0]), torch.tensor([0])), 8
    )
    assert {name: float(value) for name, value in untrained.items()} == {
        "train_loss": 1.0, "train_rmse": 2.0, "train_r2": 0.0,
    }  # fmt: skip


def test_several_numbers_have_the_scores_of_their_standardized_values() -> None:
    trial = config(dataset_name="sklearn:linnerud", pruning_active=False, epochs=1)
    trainer, [[row]] = trained(trial)
    data = load_data(trial)
    assert row is not None and trial.num_classes == 3
    predicted = outputs(trainer, data.test_x)
    assert row["val_r2"] == pytest.approx(r2_score(data.test_y, predicted, multioutput="variance_weighted"), rel=1e-5)
    assert row["val_rmse"] == pytest.approx(float((predicted - data.test_y).square().mean().sqrt()), rel=1e-5)


def test_several_columns_of_a_table_are_numbers_to_predict(tmp_path: Path) -> None:
    frame = sklearn.datasets.load_linnerud(as_frame=True).frame
    frame.to_csv(tmp_path / "linnerud.csv", index=False)
    names = ["Weight", "Waist", "Pulse"]
    trial = config(dataset_name=str(tmp_path / "linnerud.csv"), target=names, batch_size=8)
    assert (trial.target, trial.num_classes, trial.input_size) == (tuple(names), 3, 3)
    assert Config.saved(json.loads(json.dumps(trial.values()))) == trial
    data, same = load_data(trial), load_data(config(dataset_name="sklearn:linnerud", batch_size=8))
    torch.testing.assert_close(data.train_y, same.train_y)
    _, rows = trained(trial)
    _, expected = trained(config(dataset_name="sklearn:linnerud", batch_size=8))
    assert repr(rows) == repr(expected)
    own = OwnData(target=names[:2], test_fraction=0.2, is_regression=True)  # type: ignore[arg-type]  # a list will do
    assert load_dataset(str(tmp_path / "linnerud.csv"), own=own).num_classes == 2
    # A list of one name is that name.
    one = {"dataset_name": str(tmp_path / "linnerud.csv"), "batch_size": 8}
    assert config(**one, target=["Waist"]) == config(**one, target="Waist") != config(**one, target=names)


def test_sparse_networks_are_as_good_as_those_of_scikit_learn() -> None:
    ours, theirs, ridges = [], [], []
    for fold in range(5):
        trial = config(test_fraction=None, fold=fold, seed=fold, hidden_sizes=[32], epochs=30)
        data = load_data(trial)
        x, y, test_x, test_y = (each.numpy() for each in (data.train_x, data.train_y[:, 0], data.test_x, data.test_y))
        net = MLPRegressor(
            hidden_layer_sizes=[32],
            solver="sgd",
            max_iter=30,
            batch_size=32,
            learning_rate_init=0.01,
            random_state=fold,
        )
        with pytest.warns(UserWarning, match="reached"):
            theirs.append(r2_score(test_y, net.fit(x, y).predict(test_x)))
        ridges.append(r2_score(test_y, Ridge().fit(x, y).predict(test_x)))
        _, rows = trained(trial)
        [last] = rows[-1]
        assert last is not None
        ours.append(last["val_r2"])
    # Measured: 0.44, 0.43 and 0.47.
    assert abs(np.mean(ours) - np.mean(theirs)) < 0.05 and np.mean(ours) > np.mean(ridges) - 0.08


# What is refused, and keys


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": "cross_entropy"}, "loss must be 'mse' for 'sklearn:diabetes', whose labels are numbers to predict."),
        (
            {"dataset_name": "sklearn:wine"},
            "loss must be 'cross_entropy' for 'sklearn:wine', whose labels are classes.",
        ),
        ({"dataset_name": "digits"}, "loss must be cross_entropy for dataset_name='digits', got mse."),
        ({"loss": "l2"}, "Unknown loss 'l2'. Available: cross_entropy, mse."),
        (
            {"dataset_name": "two.csv", "target": ["a", "a"]},
            "target must be a list of distinct values, each a non",
        ),
        ({"dataset_name": "two.csv", "target": ["a", "c"]}, "must be numbers with loss='mse', got the type <U"),
        ({"dataset_name": "two.csv", "target": ["a", "b"], "loss": "cross_entropy"}, "several numbers, set loss='mse'"),
        ({"num_classes": 2}, "num_classes must be 1 for dataset_name='sklearn:diabetes', got 2."),
        ({"dataset_name": "text.npz"}, "The labels of 'text.npz' must be numbers with loss='mse', got the type <U1."),
        ({"dataset_name": "nan.npz"}, "The labels of 'nan.npz' must be finite numbers."),
        ({"dataset_name": "one.npz", "loss": "cross_entropy"}, "got 0.5. To predict numbers, set loss='mse'"),
        ({"dataset_name": "two.npz", "loss": "cross_entropy"}, "To predict several numbers, set loss='mse'."),
    ],
)
def test_what_is_refused(values: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = np.arange(20.0).reshape(10, 2), np.arange(10) + 0.5
    for name, labels in {"text": y.astype(str).astype("<U1"), "nan": np.where(y > 3, np.nan, y), "one": y}.items():
        np.savez(f"{name}.npz", x=x, y=labels)
    np.savez("two.npz", x=x, y=np.stack([y, y], 1))
    Path("two.csv").write_text("x,a,b,c\n" + "".join(f"{i},{i + 1},{i * i},t{i}\n" for i in range(10)))
    with pytest.raises(ConfigError) as error:
        config(**values)
    assert message in str(error.value)


def test_labels_that_are_all_equal_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(20.0).reshape(10, 2), y=np.ones(10))
    with pytest.raises(DataError, match="training examples with different labels, got 2 test examples and 1 distinct"):
        load_data(config(dataset_name=str(tmp_path / "d.npz")))


def test_label_smoothing_is_not_read() -> None:
    assert "label_smoothing" not in keys_read(config()) and "loss" in keys_read(config())
    assert identity(config(label_smoothing=0.1)) != identity(config())
