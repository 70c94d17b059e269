"""Metrics of a step, worked by hand for two trials of one layer with 2 x 4 weights."""

import math

import pytest
import torch

from dynsparse.engines.base import Sums, WeightSums
from dynsparse.methods import MaskUpdate
from dynsparse.training.metrics import classification_scores, connections, mask_update_metrics, to_rows, weight_metrics
from dynsparse.training.survival import Survivors

MASK = torch.tensor([[[1, 1, 1, 0], [1, 0, 0, 0]], [[1, 1, 0, 0], [0, 0, 0, 0]]], dtype=torch.bool)
# The second weight of the first trial is active and 0.
WEIGHT = torch.tensor([[[1.0, 0, 3, 0], [4, 0, 0, 0]], [[2.0, -2, 0, 0], [0, 0, 0, 0]]])
NAN = torch.full((2,), math.nan)
NOTHING_GREW = Survivors([NAN], NAN, NAN)


def test_loss_and_accuracy_are_means_over_the_examples() -> None:
    columns = classification_scores("val", Sums(torch.tensor([3.0, 6.0]), torch.tensor([1, 4])), n=4)
    assert {name: column.tolist() for name, column in columns.items()} == {
        "val_loss": [0.75, 1.5],
        "val_acc": [0.25, 1.0],
    }
    assert list(classification_scores("noise@0.3", Sums(NAN, NAN), n=4)) == ["noise_loss@0.3", "noise_acc@0.3"]


def test_a_network_is_connected_if_a_path_leads_from_an_input_to_an_output() -> None:
    # Two inputs, three hidden units, two outputs. All trials have the weight from input 0 to hidden unit 1.
    first = torch.zeros(4, 3, 2, dtype=torch.bool)
    first[:, 1, 0] = True
    last = torch.zeros(4, 2, 3, dtype=torch.bool)
    last[0, 1, 1] = True  # it goes on to output 1
    last[1, :, [0, 2]] = True  # all weights but those of hidden unit 1
    last[2] = True  # all weights
    found = connections([first, last])
    assert found["is_connected"].tolist() == [True, False, True, False]
    assert found["cut_off_outputs"].tolist() == [0.5, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("n_active", [1, 2, 4, 8])
def test_connection_agrees_with_the_number_of_paths(n_active: int) -> None:
    # The product of the masks as matrices has the number of paths between each input and each output.
    generator = torch.Generator().manual_seed(n_active)
    shapes = [(5, 6), (4, 5), (5, 4), (3, 5)]
    layers = [torch.rand(50, *shape, generator=generator) for shape in shapes]
    layers = [each.flatten(1).argsort(1).argsort(1).view(each.shape) < n_active for each in layers]
    paths = layers[0].double()
    for mask in layers[1:]:
        paths = mask.double() @ paths
    found = connections(layers)
    is_connected = found["is_connected"]
    assert is_connected.tolist() == (paths > 0).flatten(1).any(1).tolist()
    assert found["cut_off_outputs"].tolist() == (paths == 0).all(2).double().mean(1).tolist()
    assert n_active == 8 or not is_connected.all()
    assert n_active == 1 or is_connected.any()


def test_weight_metrics() -> None:
    sums = WeightSums.of(WEIGHT)
    columns = weight_metrics([sums, sums], [MASK, ~MASK], debug_weights=False, debug_sparse=True)
    assert {name: column.tolist() for name, column in columns.items()} == {
        "density": [0.5, 0.5],
        "density_l0": [0.5, 0.25],
        "sparse_level_l0": [0.375, 0.25],
        "density_l1": [0.5, 0.75],
        "sparse_level_l1": [0.375, 0.25],
    }
    columns = weight_metrics([sums], [MASK], debug_weights=True, debug_sparse=False)
    assert list(columns) == ["density", "linear_0_mean", "linear_0_std"]
    assert columns["linear_0_mean"].tolist() == [1.0, 0.0]
    # Of the second trial: 2 * 2^2 / (8 - 1) is the variance.
    assert columns["linear_0_std"][1].item() == pytest.approx(math.sqrt(8 / 7))


def test_mask_update_metrics() -> None:
    kept, grown = torch.zeros_like(MASK), torch.zeros_like(MASK)
    kept[:, 0, 0] = True
    grown[0, 1, 1:3] = True
    # The second trial keeps more than its target, which counts as nothing missing.
    update = MaskUpdate(mask=kept | grown, kept=kept, grown=grown, target=torch.tensor([4, 0]))
    survivors = Survivors([torch.tensor([0.5, 0.25])], torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.4]))
    columns = mask_update_metrics([kept | grown], [update], survivors)
    assert {name: column.tolist() for name, column in columns.items()} == {
        "weight_keep_mask_l0": [0.125, 0.125],
        "missing_weights_l0": [0.375, 0.0],
        "added_synapses_l0": [0.25, 0.0],
        "mask_sizes_l0": [3, 1],
        "surviving_synapses_l0": [0.5, 0.25],
        "surviving_synapses_avg": survivors.average.tolist(),
        "surviving_synapses": survivors.overall.tolist(),
    }


def test_an_epoch_without_an_update_keeps_the_mask_and_grows_nothing() -> None:
    columns = mask_update_metrics([MASK], None, NOTHING_GREW)
    assert columns["weight_keep_mask_l0"].tolist() == [0.5, 0.25]
    assert columns["missing_weights_l0"].tolist() == columns["added_synapses_l0"].tolist() == [0.0, 0.0]
    assert columns["surviving_synapses_avg"].isnan().all()


def test_rows_have_one_number_per_column_and_counts_are_integers() -> None:
    columns = {"mask_sizes_l0": torch.tensor([3, 1]), "val_acc": torch.tensor([0.5, 0.25]), "round": torch.tensor(2)}
    rows, failed = to_rows(columns, torch.tensor([False, True]))
    assert rows == [
        {"mask_sizes_l0": 3, "val_acc": 0.5, "round": 2.0},
        {"mask_sizes_l0": 1, "val_acc": 0.25, "round": 2.0},
    ]
    assert [type(row["mask_sizes_l0"]) for row in rows] == [int, int]
    assert failed == [False, True]


@pytest.mark.filterwarnings("error")
def test_a_single_weight_has_no_deviation() -> None:
    weight = torch.tensor([[[2.0]], [[3.0]]])
    columns = weight_metrics([WeightSums.of(weight)], [weight != 0], debug_weights=True, debug_sparse=False)
    assert columns["linear_0_mean"].tolist() == [2.0, 3.0]
    assert columns["linear_0_std"].isnan().tolist() == [True, True]
