"""Floating-point operations per example: of an inference, and of the training so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dynsparse.engines.base import target_counts
from dynsparse.engines.latent_weights import trained_count
from dynsparse.ops import masks
from dynsparse.planning.plan import Plan


class TrainingFlops:
    """Counter of the floating-point operations that the trials of a pack need, whatever the engine computes.

    As in the paper, only products with weights count: 2 operations per example and active weight, one multiplication
    and one addition; for a convolution, at each of its output positions. With n active weights of linear layers, an
    inference takes f_S = 2 n. A training step takes 3 f_S: the forward pass, the gradient of the weights and the
    gradient of the inputs (that of the first layer included). If a step needs the gradient of all positions, it takes
    2 f_S + f_D, where f_D = 2 * (number of positions). Methods that grow by the gradient need it in the last step
    before each mask update; those that grow by its running mean, and the 2019 rules, whose momentum moves inactive
    weights, in every step until the last update. If a method trains m weights, some of them inactive (`TopKAST`), each
    step takes 2 f_S + 2 m.

    Not counted: biases, activation functions, batch norm, loss, optimizer, the sorting and the link prediction in a
    mask update, and coactivation, which is counted with bits.

    Reference:
        Utku Evci, Trevor Gale, Jacob Menick, Pablo Samuel Castro and Erich Elsen, Rigging the Lottery: Making All
        Tickets Winners, 2020, appendix, https://arxiv.org/abs/1911.11134
    """

    def __init__(self, plan: Plan) -> None:
        self._positions = plan.network.positions
        self._dense = dense_flops(plan.network.shapes, self._positions)
        needs = plan.method.needs if plan.updates else frozenset()
        self._at_updates = "gradient" in needs
        self._of_trained = _trained_flops(plan)
        self._at_each_step = "gradient_momentum" in needs or (plan.updates is not None and plan.method.moves_inactive)
        self._batch_size = plan.batch_size
        self._n_last = 0  # examples of the last batch
        # (trials,), float64: whole numbers are exact up to 9e15, and NaN stands for unknown.
        self._total = torch.zeros(len(plan.seeds), dtype=torch.float64, device=plan.device)
        self._n_examples = torch.zeros_like(self._total)
        self._sparse = torch.zeros_like(self._total)  # f_S in the last batch

    def add_steps(self, active: Sequence[Tensor], n_examples: int, updated_later: Tensor) -> None:
        """Add training steps with the same masks.

        Args:
            active: The mask of each layer. Shapes: (trials, out, in), bool.
            n_examples: The examples of all steps together; only the last step may have fewer than `batch_size`.
            updated_later: True for trials with a mask update still to come. Shapes: (trials,), bool.
        """
        self._sparse = inference_flops(active, self._positions)
        self._n_last = n_examples % self._batch_size or self._batch_size
        # Not in-place, because a `state_dict` shares these tensors.
        self._n_examples = self._n_examples + n_examples
        self._total = self._total + 3 * self._sparse * n_examples
        if self._of_trained is not None:
            self._total = self._total + (self._of_trained - self._sparse) * n_examples
        if self._at_each_step:
            self._total = self._total + (self._dense - self._sparse) * updated_later.to(self._total) * n_examples

    def add_mask_update(self, updated: Tensor) -> None:
        """Add what a mask update needs of the last step. Shapes: updated (trials,), bool; False for skipped trials."""
        if self._at_updates:
            self._total = self._total + (self._dense - self._sparse) * updated.to(self._total) * self._n_last

    def metrics(self) -> dict[str, Tensor]:
        """Return the operations of the training so far, per example, and their ratio to those of a dense network."""
        mean = self._total / self._n_examples
        return {"flops_train": mean, "flops_train_ratio": mean / (3 * self._dense)}

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs to continue."""
        return {"total": self._total, "n_examples": self._n_examples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self._total = state["total"].to(self._total.device)
        self._n_examples = state["n_examples"].to(self._total.device)


def _trained_flops(plan: Plan) -> Tensor | None:
    """Return the operations of the weights' gradients per example, (trials,), float64; None if inactive ones have none.

    With a `backward_density`, some inactive weights are trained, and their gradients are computed, too.
    """
    if plan.method.backward_density is None:
        return None
    n_trained = [
        trained_count(plan, target_counts(plan, layer, share_done=0.0), n_out * n_in) * n
        for layer, ((n_out, n_in), n) in enumerate(zip(plan.network.shapes, plan.network.positions, strict=True))
    ]
    return 2 * torch.stack(n_trained).sum(0).double()


def inference_metrics(active: Sequence[Tensor], positions: Sequence[int]) -> dict[str, Tensor]:
    """Return the operations of an inference, per example, and their ratio to those of a dense network.

    Shapes: see `inference_flops`.
    """
    flops = inference_flops(active, positions)
    dense = dense_flops([(mask.shape[1], mask.shape[2]) for mask in active], positions)
    return {"flops_inference": flops, "flops_inference_ratio": flops / dense}


def inference_flops(active: Sequence[Tensor], positions: Sequence[int]) -> Tensor:
    """Return the operations of an inference, per example: 2 for each active weight, at each position.

    Args:
        active: The mask of each layer. Shapes: (trials, out, in), bool.
        positions: The number of outputs of each unit of a layer for one example.

    Returns:
        Shapes: (trials,), float64.
    """
    counts = [masks.count(mask) * n for mask, n in zip(active, positions, strict=True)]
    return 2 * torch.stack(counts).sum(0).double()


def dense_flops(shapes: Sequence[tuple[int, int]], positions: Sequence[int]) -> int:
    """Return the operations of an inference of a dense network, per example."""
    return 2 * sum(n_out * n_in * n for (n_out, n_in), n in zip(shapes, positions, strict=True))
