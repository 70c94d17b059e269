"""A multilayer perceptron with residual connections."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from dynsparse.nn.settings import ModuleSettings


class Block(nn.Module):
    """Two linear layers with a path around them."""

    def __init__(self, width: int, n_hidden: int, settings: ModuleSettings) -> None:
        super().__init__()
        self.norm = _norm(width, settings)
        self.fc1 = nn.Linear(width, n_hidden)
        self.fc2 = nn.Linear(n_hidden, width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block. Shapes: (batch, width), and so is the result."""
        hidden = self.dropout(self.fc1(self.norm(x)).relu())
        out: Tensor = x + self.dropout(self.fc2(hidden))
        return out


def residual_mlp(settings: ModuleSettings) -> nn.Module:
    """Build a linear layer, residual blocks, and a linear layer for the classes.

    The first of `hidden_sizes` is the number of units between the blocks; each further one is the number of hidden
    units of a block. The keys `batch_norm` (before each block and the last layer) and `dropout` are read.

    Reference: Yury Gorishniy, Ivan Rubachev, Valentin Khrulkov and Artem Babenko, Revisiting Deep Learning Models for
    Tabular Data, 2021, https://arxiv.org/abs/2106.11959 (section 3.2)
    """
    if len(settings.hidden_sizes) < 2:
        raise ValueError(
            "hidden_sizes must have the number of units between blocks and those of at least one block, got "
            f"{list(settings.hidden_sizes)}. Write for example [100, 200]."
        )
    width, *blocks = settings.hidden_sizes
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            first=nn.Linear(settings.input_size, width),
            blocks=nn.Sequential(*(Block(width, n_hidden, settings) for n_hidden in blocks)),
            norm=_norm(width, settings),
            relu=nn.ReLU(),
            head=nn.Linear(width, settings.num_classes),
        )
    )


def _norm(width: int, settings: ModuleSettings) -> nn.Module:
    return nn.BatchNorm1d(width) if settings.batch_norm else nn.Identity()
