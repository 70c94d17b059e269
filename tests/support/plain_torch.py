"""A masked MLP in a few lines of plain torch, for tests to hold the studies against.

It shares no code with the engines: the mask is a factor in the forward pass, the optimiser is torch's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from dynsparse.config import Config
from dynsparse.data import epoch_order, load_dataset
from dynsparse.studies import Parameters

Layers = list[Tensor]


class Plain:
    """One network. `weights` may be anything where the mask is False: it is never seen there."""

    def __init__(self, config: Config, weights: Layers, biases: Layers, masks: Layers) -> None:
        self.config, self.data = config, load_dataset(config.dataset_name)
        self.weights = [(w * m).detach().clone().requires_grad_() for w, m in zip(weights, masks, strict=True)]
        self.biases = [b.detach().clone().requires_grad_() for b in biases]
        self.masks = masks
        kind = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}[config.optim_alg]
        is_sgd = config.optim_alg == "SGD"
        options = {"momentum": config.momentum, "nesterov": config.nesterov} if is_sgd else {}
        parameters = [*self.weights, *self.biases]
        self._optimizer = kind(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, **options)
        self._scheduler = plain_scheduler(self._optimizer, config, -(-len(self.data.train_y) // config.batch_size))

    def logits(self, x: Tensor) -> Tensor:
        return plain_logits(x, [w * m for w, m in zip(self.weights, self.masks, strict=True)], self.biases)

    def train(self, epochs: Iterable[int], n_steps: float = math.inf) -> None:
        """One pass for each number of an epoch, in its order; `n_steps` in all at most."""
        for epoch in epochs:
            order = epoch_order(len(self.data.train_y), self.config.seed, epoch)
            for batch in order.split(self.config.batch_size):
                if n_steps == 0:
                    return
                n_steps -= 1
                self._optimizer.zero_grad()
                logits = self.logits(self.data.train_x[batch])
                smoothing = self.config.label_smoothing
                F.cross_entropy(logits, self.data.train_y[batch], label_smoothing=smoothing).backward()
                if self.config.clip_norm is not None:
                    nn.utils.clip_grad_norm_([*self.weights, *self.biases], self.config.clip_norm)
                self._optimizer.step()
                self._scheduler.step()

    def accuracy(self) -> float:
        return plain_test(self.data.test_x, self.data.test_y, *self.parameters[:2])[1]

    @property
    def parameters(self) -> Parameters:
        weights = [(w * m).detach() for w, m in zip(self.weights, self.masks, strict=True)]
        return Parameters(weights, [b.detach() for b in self.biases], self.masks)


def plain_scheduler(optimizer: torch.optim.Optimizer, config: Config, n_batches: int) -> LRScheduler:
    """Torch's scheduler of a config, for a call of `step` after each batch."""
    n_warmup, n_steps = round(config.warmup_epochs * n_batches), config.epochs * n_batches
    after_warmup = [epoch * n_batches - n_warmup for epoch in config.lr_milestones]
    final = config.lr_final
    main: dict[str, Callable[[], LRScheduler]] = {
        "constant": lambda: lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "multistep": lambda: lr_scheduler.MultiStepLR(optimizer, after_warmup, config.lr_gamma),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, n_steps - n_warmup, final * config.learning_rate),
        "linear": lambda: lr_scheduler.LinearLR(optimizer, 1.0, final, n_steps - n_warmup),
    }
    if n_warmup == 0:
        return main[config.lr_schedule]()
    rise = lr_scheduler.LinearLR(optimizer, 1 / n_warmup, 1.0, max(n_warmup - 1, 1))
    return lr_scheduler.SequentialLR(optimizer, [rise, main[config.lr_schedule]()], [n_warmup])


def plain_logits(x: Tensor, weights: Layers, biases: Layers) -> Tensor:
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = F.linear(x.relu() if layer else x, weight, bias)
    return x


def plain_test(x: Tensor, y: Tensor, weights: Layers, biases: Layers) -> tuple[float, float]:
    """Mean cross-entropy and accuracy."""
    logits = plain_logits(x, weights, biases)
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).double().mean().item()


def pruned_weights(
    weights: list[np.ndarray],
    biases: list[np.ndarray],
    sparsity: float,
    *,
    biases_too: bool = True,
    last_layer: bool = False,
    scope: str = "layer",
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weight pruning as the blog has it: sort all magnitudes, set the first int(sparsity * n) to 0; biases likewise."""
    n = len(weights) if last_layer else len(weights) - 1
    new = [
        _smallest_zero(weights[:n], sparsity, scope),
        _smallest_zero(biases[:n], sparsity if biases_too else 0, scope),
    ]
    return new[0] + weights[n:], new[1] + biases[n:]


def pruned_units(
    weights: list[np.ndarray], biases: list[np.ndarray], sparsity: float, *, scope: str = "layer"
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Unit pruning as the blog has it: sort the columns' L2 norms, set int(sparsity * n) units to 0."""
    norms = [np.sqrt((w.astype(np.float64) ** 2).sum(1)) for w in weights[:-1]]
    kept = [norm != 0 for norm in _smallest_zero(norms, sparsity, scope)] + [np.ones(len(biases[-1]), bool)]
    return (
        [w * k[:, None] for w, k in zip(weights, kept, strict=True)],
        [b * k for b, k in zip(biases, kept, strict=True)],
    )


def _smallest_zero(layers: list[np.ndarray], sparsity: float, scope: str) -> list[np.ndarray]:
    if scope == "global" and layers:
        whole = np.concatenate([each.ravel() for each in layers])
        parts = np.split(_smallest_zero([whole], sparsity, "layer")[0], np.cumsum([each.size for each in layers])[:-1])
        return [part.reshape(each.shape) for part, each in zip(parts, layers, strict=True)]
    new = []
    for each in layers:
        flat = each.ravel().copy()
        # As a fraction: in floats int(0.29 * 100) is 28.
        flat[np.argsort(np.abs(flat), kind="stable")[: int(Fraction(str(sparsity)) * flat.size)]] = 0
        new.append(flat.reshape(each.shape))
    return new


def of_first_trial(parameters: Parameters) -> Parameters:
    """Without the trials axis."""
    return Parameters(*([each[0].clone() for each in layers] for layers in parameters))
