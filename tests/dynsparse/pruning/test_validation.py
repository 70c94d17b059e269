"""Messages about bad arguments of dynsparse.pruning, and the packages that it imports."""

import re
import subprocess
import sys

import pytest
import torch

from dynsparse.pruning import (
    actual_fraction,
    compress,
    next_masks,
    prune_units,
    prune_weights,
    reinitialised,
    rewound,
    round_fraction,
)
from dynsparse.pruning.summary import summary

WEIGHTS = [torch.ones(3, 2), torch.ones(1, 3)]
BIASES = [torch.ones(3), torch.ones(1)]
NOISE = [torch.zeros_like(each).int() for each in WEIGHTS]
MASKS = [each.bool() for each in WEIGHTS]
STACK = [[each.expand(2, *each.shape) for each in some] for some in (WEIGHTS, BIASES, NOISE)]
FLOATS = "[torch.float32, torch.float32]"


@pytest.mark.parametrize("prune", [prune_weights, prune_units])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((WEIGHTS, BIASES, 1.5, NOISE), "sparsity must be in [0, 1], got 1.5."),
        ((WEIGHTS, BIASES, -0.1, NOISE), "sparsity must be in [0, 1], got -0.1."),
        ((WEIGHTS, BIASES, "0.5", NOISE), "sparsity must be a number in [0, 1], got '0.5'."),
        ((WEIGHTS, BIASES, float("nan"), NOISE), "sparsity must be a number in [0, 1], got nan."),
        ((WEIGHTS, BIASES, torch.tensor(2), NOISE), "sparsity must be in [0, 1], got 2."),
        ((*STACK[:2], torch.tensor([0.5, torch.nan]), STACK[2]), "sparsity must be in [0, 1], got [0.5, nan]."),
        (
            (*STACK[:2], torch.ones(3), STACK[2]),
            "sparsity must be a number or have shape (2,), got shape (3,). Give one value per network.",
        ),
        (
            (WEIGHTS, BIASES, torch.ones(2), NOISE),
            "sparsity must be a number or have shape (), got shape (2,). Give one value per network.",
        ),
        (
            (WEIGHTS, BIASES[:1], 0.5, NOISE),
            "biases must have 2 layers, got 1. Give one tensor per layer, from input to output.",
        ),
        (
            (WEIGHTS, BIASES, 0.5, NOISE[:1]),
            "noise must have 2 layers, got 1. Give one tensor per layer, from input to output.",
        ),
        (
            (WEIGHTS, BIASES[::-1], 0.5, NOISE),
            "biases of layer 0 must have shape (3,), got (1,). Give one tensor per layer, from input to output.",
        ),
        (
            (WEIGHTS, BIASES, 0.5, [NOISE[0], NOISE[0]]),
            "noise of layer 1 must have shape (1, 3), got (3, 2). Give one tensor per layer, from input to output.",
        ),
        ((WEIGHTS, BIASES, 0.5, WEIGHTS), f"noise must be int32, got {FLOATS}. Draw it with dynsparse.random.noise."),
        (
            ([], [], 0.5, []),
            "weights must have at least one layer, got none. Give one tensor per layer, from input to output.",
        ),
        (
            ([torch.ones(3), torch.ones(1, 3)], BIASES, 0.5, NOISE),
            "weights must have shapes (..., out, in) with the same leading dimensions, got [(3,), (1, 3)]. "
            "Give one tensor per layer, from input to output.",
        ),
        (
            ([STACK[0][0], WEIGHTS[1]], BIASES, 0.5, NOISE),
            "weights must have shapes (..., out, in) with the same leading dimensions, got [(2, 3, 2), (1, 3)]. "
            "Give one tensor per layer, from input to output.",
        ),
    ],
)
def test_bad_pruning(prune, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        prune(*arguments)


@pytest.mark.parametrize("prune", [prune_weights, prune_units])
def test_an_unknown_scope(prune):
    message = "Unknown scope 'globl'. Did you mean 'global'? Available: layer, global."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        prune(WEIGHTS, BIASES, 0.5, NOISE, scope="globl")


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (next_masks, (MASKS, None, 1.5, NOISE), "fraction must be in [0, 1], got 1.5."),
        (next_masks, (MASKS, None, 0.5, NOISE, 2), "last_layer_rate must be in [0, 1], got 2."),
        (next_masks, (WEIGHTS, None, 0.5, NOISE), f"masks must be boolean, got {FLOATS}. Convert them with .bool()."),
        (
            next_masks,
            (MASKS, WEIGHTS[:1], 0.5, NOISE),
            "scores must have 2 layers, got 1. Give one tensor per layer, from input to output.",
        ),
        (
            next_masks,
            (MASKS, None, 0.5, WEIGHTS),
            f"noise must be int32, got {FLOATS}. Draw it with dynsparse.random.noise.",
        ),
        (round_fraction, (1.5, 2), "total must be in [0, 1], got 1.5."),
        (round_fraction, (torch.tensor([0.5, 1.5]), 2), "total must be in [0, 1], got [0.5, 1.5]."),
        (round_fraction, (0.5, 0), "rounds must be an integer of at least 1, got 0."),
        (round_fraction, (0.5, 1.5), "rounds must be an integer of at least 1, got 1.5."),
        (
            rewound,
            (WEIGHTS[:1], MASKS),
            "initial must have 2 layers, got 1. Give one tensor per layer, from input to output.",
        ),
        (rewound, (WEIGHTS, WEIGHTS), f"masks must be boolean, got {FLOATS}. Convert them with .bool()."),
        (
            reinitialised,
            (WEIGHTS[::-1], MASKS),
            "drawn of layer 0 must have shape (3, 2), got (1, 3). Give one tensor per layer, from input to output.",
        ),
        (
            actual_fraction,
            ([],),
            "masks must have at least one layer, got none. Give one tensor per layer, from input to output.",
        ),
        (
            compress,
            (WEIGHTS, BIASES[:1]),
            "biases must have 2 layers, got 1. Give one tensor per layer, from input to output.",
        ),
        (
            compress,
            STACK[:2],
            "weights must have shapes (out, in), got [(2, 3, 2), (2, 1, 3)]. Pass one network at a time.",
        ),
        (
            compress,
            ([torch.ones(3, 2), torch.ones(1, 4)], BIASES),
            "weights must have as many inputs as the layer before has outputs, got shapes [(3, 2), (1, 4)]. "
            "Give one tensor per layer, from input to output.",
        ),
        (
            summary,
            STACK[:2],
            "weights must have shapes (out, in), got [(2, 3, 2), (2, 1, 3)]. Pass one network at a time.",
        ),
        (
            summary,
            (WEIGHTS, BIASES, MASKS[:1]),
            "masks must have 2 layers, got 1. Give one tensor per layer, from input to output.",
        ),
        (summary, (WEIGHTS, BIASES, WEIGHTS), f"masks must be boolean, got {FLOATS}. Convert them with .bool()."),
    ],
)
def test_bad_input_elsewhere(function, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        function(*arguments)


def test_importing_it_imports_neither_pandas_nor_ray():
    code = "import sys, dynsparse.pruning; print({'pandas', 'ray', 'analysis'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
