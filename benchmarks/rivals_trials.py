"""One trial of SET in dynsparse and in other libraries: `RIVALS` lists them, and each is one class.

To add a rival, write a class with a label, the module that it needs, and `epoch`, and add it to `RIVALS`. `epoch`
trains one epoch on MNIST, tests, updates the masks if the library can, and returns the test accuracy. The optional
libraries are imported where they are used, so each rival runs without the others.
"""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dynsparse.config import Config
from dynsparse.training.trainer import Trainer

BATCH_SIZE = 128
LEARNING_RATE = 0.1
MOMENTUM = 0.9
DROP_FRACTION = 0.3


def draw_layer(n_in, n_out, density, rng):
    """Return weight, mask and bias. torch's initialization, with the weights scaled to the active fan-in.

    Shapes: weight and mask (out, in), float32; inactive weights are zero.
    """
    mask = np.zeros(n_out * n_in, np.float32)
    mask[rng.choice(mask.size, round(density * mask.size), replace=False, shuffle=False)] = 1
    bound = (density * n_in) ** -0.5
    weight = rng.uniform(-bound, bound, mask.size).astype(np.float32) * mask
    bias = rng.uniform(-(n_in**-0.5), n_in**-0.5, n_out).astype(np.float32)
    return weight.reshape(n_out, n_in), mask.reshape(n_out, n_in), bias


def updated_mask(weight, mask, rng):
    """Return the mask after one update of SET: drop the smallest active weights, grow as many positions at random.

    If too few positions are inactive, fewer weights are dropped. NumPy selects faster than torch and JAX on a CPU.
    """
    new = mask.copy()
    flat = new.reshape(-1)
    active, inactive = np.flatnonzero(flat), np.flatnonzero(flat == 0)
    n_drop = min(round(DROP_FRACTION * len(active)), len(inactive))
    if n_drop:
        size = np.abs(weight.reshape(-1)[active])
        flat[active[np.argpartition(size, n_drop - 1)[:n_drop]]] = 0
        flat[rng.choice(inactive, n_drop, replace=False, shuffle=False)] = 1
    return new


class Dynsparse:
    label, module = "dynsparse", "dynsparse"

    def __init__(self, sizes, density, data):
        keys = {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM, "weight_decay": 0.0, "batch_size": BATCH_SIZE}
        keys |= {"model": "SET", "weight_prune_perc": DROP_FRACTION, "test_noise": False, "epochs": 1000}
        self.trainer = Trainer([Config(engine="sparse", hidden_sizes=sizes[1:-1], on_perc=density, **keys)])

    def epoch(self):
        (row,) = self.trainer.step()
        return row["val_acc"]


class Torch:
    """Trains and tests a network in torch; each subclass says what its layers are."""

    batch_size = BATCH_SIZE

    def __init__(self, sizes, density, data):
        torch.manual_seed(0)
        self.data, self.rng = data, np.random.default_rng(0)
        layers = []
        for n_in, n_out in pairwise(sizes):
            layers += [self.layer(n_in, n_out, density), nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1])
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)

    def epoch(self):
        x, y = self.data.train_x, self.data.train_y
        for index in torch.randperm(len(x)).split(self.batch_size):
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x.index_select(0, index)), y.index_select(0, index)).backward()
            self.optimizer.step()
        accuracy = self.test()
        self.update_masks()
        return accuracy

    @torch.no_grad()
    def test(self):
        classes = torch.cat([self.model(x).argmax(1) for x in self.data.test_x.split(1000)])
        return (classes == self.data.test_y).float().mean().item()

    def update_masks(self):
        """Do nothing, where masks cannot change."""


class TorchDense(Torch):
    label, module = "plain torch, dense", "torch"

    def layer(self, n_in, n_out, density):
        return linear(*draw_layer(n_in, n_out, 1.0, self.rng))


def linear(weight, mask, bias, kind=nn.Linear):
    layer = kind(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    return layer


class MaskedLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight * self.mask, self.bias)


class TorchMasked(Torch):
    label, module = "plain torch, masked", "torch"

    def layer(self, n_in, n_out, density):
        weight, mask, bias = draw_layer(n_in, n_out, density, self.rng)
        layer = linear(weight, mask, bias, MaskedLinear)
        layer.register_buffer("mask", torch.from_numpy(mask))
        return layer

    @torch.no_grad()
    def update_masks(self):
        for layer in self.model[::2]:
            new = updated_mask(layer.weight.numpy(), layer.mask.numpy(), self.rng)
            layer.mask.copy_(torch.from_numpy(new))
            # Inactive weights are zero, so new ones start there.
            layer.weight *= layer.mask
            self.optimizer.state[layer.weight]["momentum_buffer"] *= layer.mask


class Sparseprop(Torch):
    """Sparse layers with a fixed mask. The library can remove weights from a layer, but not add any."""

    label, module = "sparseprop, static", "sparseprop"

    def layer(self, n_in, n_out, density):
        from sparseprop.modules import SparseLinear

        # swap_modules_with_sparse, the library's shortcut, may keep layers dense, and then all of their weights train.
        return SparseLinear.from_dense(linear(*draw_layer(n_in, n_out, density, self.rng)))


class Sparselab(Torch):
    """Sparse layers and SET of the library itself, with its own initialization, which counts active inputs."""

    label, module = "sparselab, SET", "sparselab"

    def __init__(self, sizes, density, data):
        import sparselab

        super().__init__(sizes, density, data)
        # Its update is called after the test, as in the other rivals, not by its own counter of steps.
        self.set = sparselab.SET(sparsity=1 - density, drop_fraction=DROP_FRACTION, seed=0)
        self.model.apply(self.set)

    def layer(self, n_in, n_out, density):
        import sparselab

        return sparselab.SparseLinear(n_in, n_out, sparsity=1 - density)

    def update_masks(self):
        self.set.update()


class Jax:
    """Masked dense layers. All steps of an epoch are one compiled function."""

    label, module = "JAX, masked", "jax"

    def __init__(self, sizes, density, data):
        import jax
        import jax.numpy as jnp

        self.rng = np.random.default_rng(0)
        layers = [draw_layer(n_in, n_out, density, self.rng) for n_in, n_out in pairwise(sizes)]
        weights, self.masks, biases = zip(*jax.tree.map(jnp.asarray, layers), strict=True)
        self.parameters = list(weights), list(biases)
        self.velocity = jax.tree.map(jnp.zeros_like, self.parameters)
        self.train = jnp.asarray(data.train_x.numpy()), jnp.asarray(data.train_y.numpy())
        self.test = jnp.asarray(data.test_x.numpy()), jnp.asarray(data.test_y.numpy())

        def outputs(parameters, masks, x):
            *hidden, last = zip(*parameters, masks, strict=True)
            for weight, bias, mask in hidden:
                x = jax.nn.relu(x @ (weight * mask).T + bias)
            weight, bias, mask = last
            return x @ (weight * mask).T + bias

        def loss(parameters, masks, x, y):
            log_softmax = jax.nn.log_softmax(outputs(parameters, masks, x))
            return -jnp.take_along_axis(log_softmax, y[:, None], axis=1).mean()

        def train(parameters, velocity, masks, x, y, order):
            def step(state, index):
                parameters, velocity = state
                gradients = jax.grad(loss)(parameters, masks, x[index], y[index])
                velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradients)
                return (jax.tree.map(lambda p, v: p - LEARNING_RATE * v, parameters, velocity), velocity), None

            # A dropped weight is zero, and so is its velocity, when it grows again.
            parameters = [w * mask for w, mask in zip(parameters[0], masks, strict=True)], parameters[1]
            velocity = [v * mask for v, mask in zip(velocity[0], masks, strict=True)], velocity[1]
            # The last batch is smaller, and a scan needs equal ones.
            n_full = len(order) // BATCH_SIZE * BATCH_SIZE
            state, _ = jax.lax.scan(step, (parameters, velocity), order[:n_full].reshape(-1, BATCH_SIZE))
            return step(state, order[n_full:])[0]

        def accuracy(parameters, masks, x, y):
            return (outputs(parameters, masks, x).argmax(1) == y).mean()

        self.train_epoch = jax.jit(train, donate_argnums=(0, 1))
        self.accuracy = jax.jit(accuracy)

    def epoch(self):
        order = self.rng.permutation(len(self.train[0]))
        self.parameters, self.velocity = self.train_epoch(
            self.parameters, self.velocity, self.masks, *self.train, order
        )
        accuracy = float(self.accuracy(self.parameters, self.masks, *self.test))
        weights = zip(self.parameters[0], self.masks, strict=True)
        self.masks = tuple(updated_mask(np.asarray(w), np.asarray(mask), self.rng) for w, mask in weights)
        return accuracy


# The first one is the base of all ratios.
RIVALS = {
    "dynsparse": Dynsparse,
    "dense": TorchDense,
    "masked": TorchMasked,
    "jax": Jax,
    "sparseprop": Sparseprop,
    "sparselab": Sparselab,
}
