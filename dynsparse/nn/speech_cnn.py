"""A convolutional network for spoken words."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dynsparse.nn.kwinners import activation
from dynsparse.nn.settings import ModuleSettings, image_shape


def speech_cnn(settings: ModuleSettings) -> nn.Module:
    """Build two convolutions of 64 filters of 5 x 5, each with max pooling and batch norm, and 1000 linear units.

    It is made for spectra of 32 x 32, such as those of spoken commands in 12 classes, and takes any image of 16 x 16 or
    more. With kwinners=True all activations are k-winners, as in the paper.

    Reference: Subutai Ahmad and Luiz Scheinkman, How Can We Be So Dense? The Benefits of Using Highly Sparse
    Representations, 2019, https://arxiv.org/abs/1903.11257 (the network for Google Speech Commands)
    """
    channels, height, width = image_shape(settings, at_least=16)
    n_features = 64 * (((height - 4) // 2 - 4) // 2) * (((width - 4) // 2 - 4) // 2)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 64, 5),
            pool1=nn.MaxPool2d(2),
            norm1=nn.BatchNorm2d(64),
            active1=activation(64, settings),
            conv2=nn.Conv2d(64, 64, 5),
            pool2=nn.MaxPool2d(2),
            norm2=nn.BatchNorm2d(64),
            active2=activation(64, settings),
            flatten=nn.Flatten(),
            fc1=nn.Linear(n_features, 1000),
            active3=activation(1000, settings),
            fc2=nn.Linear(1000, settings.num_classes),
        )
    )
