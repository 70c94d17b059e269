"""Initial masks from the correlations of the input features: sparse_type="csti"."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse.engines.base import draw_parameters, initial_parameters, target_counts, tie_noise
from dynsparse.ops import masks
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose
from dynsparse.studies import Parameters
from dynsparse.training.splits import Splits


def correlated_parameters(pack: Plan, splits: Splits) -> Parameters:
    """Return initial parameters of multilayer perceptrons whose units are connected where their features correlate.

    Each hidden unit stands for an input feature, and each layer but the last has its active weights where the absolute
    correlation of the features of both units is highest, in the training examples of the trial. Weights between units
    of one feature come last, as do those of constant features. The last layer is drawn as with sparse_type="exact".
    Everything is computed on the CPU, so that the masks do not depend on pack, engine and device.

    Differences from the paper: it has as many hidden units as features, or twice as many. Here units repeat the
    features in order if there are more, and stand for evenly spaced features if there are fewer. As there, features
    that are constant are left out. The published code gives such units no weights instead.

    Reference: Zhang et al., Epitopological Learning and Cannistraci-Hebb Network Shape Intelligence Brain-Inspired
    Theory for Ultra-Sparse Advantage in Deep Learning, 2024, https://openreview.net/forum?id=iayEcORsGd
    """
    correlations = {seed: absolute_correlations(splits.training_inputs(seed)) for seed in dict.fromkeys(pack.seeds)}
    active = initial_parameters(pack).masks
    for layer, shape in enumerate(pack.network.shapes[:-1]):
        counts = target_counts(pack, layer, share_done=0.0).cpu()
        noise = tie_noise(pack, Purpose.MASK, layer, epoch=0).cpu()
        scores = {seed: layer_scores(each, shape, is_first=layer == 0) for seed, each in correlations.items()}
        trials = zip(pack.seeds, counts, noise, strict=True)
        of_trials = [masks.highest(scores[seed], count, each) for seed, count, each in trials]
        active[layer] = torch.stack(of_trials).to(pack.device)
    return draw_parameters(pack, active, number=0)


def absolute_correlations(x: Tensor) -> Tensor:
    """Return the absolute Pearson correlation of each two features; 0 for a feature and itself, NaN if it is constant.

    Shapes: x (examples, features); the result (features, features).
    """
    n_examples, n_features = x.shape
    if n_examples < 2:
        return torch.full((n_features, n_features), torch.nan)
    # For a single feature, torch returns a scalar.
    correlations = torch.corrcoef(x.T).view(n_features, n_features)
    # Both orders of two features get the same number, which rounding could prevent.
    varies = x.amax(0) > x.amin(0)
    return ((correlations + correlations.T) / 2).abs().fill_diagonal_(0).where(varies, torch.nan)


def layer_scores(correlations: Tensor, shape: tuple[int, int], *, is_first: bool) -> Tensor:
    """Return the absolute correlation of the features of each two units of a layer; 0 for constant features.

    Shapes: correlations (features, features); the result `shape`, (out, in).
    """
    n_out, n_in = shape
    varies = (~correlations.isnan()).any(0).nonzero().squeeze(1)
    of_inputs = torch.arange(n_in) if is_first else features_of_units(varies, n_in)
    return correlations[features_of_units(varies, n_out)][:, of_inputs].nan_to_num(0.0)


def features_of_units(features: Tensor, n_units: int) -> Tensor:
    """Return the feature that each unit stands for: each in turn, or evenly spaced ones if there are fewer units."""
    units = torch.arange(n_units)
    if len(features) == 0:
        return torch.zeros_like(units)
    return features[units % len(features) if n_units >= len(features) else units * len(features) // n_units]
