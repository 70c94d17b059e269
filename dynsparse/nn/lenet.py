"""LeNet-5."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dynsparse.nn.settings import ModuleSettings, image_shape


def lenet5(settings: ModuleSettings) -> nn.Module:
    """Build LeNet-5 with ReLU and max pooling: 6 and 16 filters of 5 x 5, then 120 and 84 units.

    Reference: Yann LeCun, Léon Bottou, Yoshua Bengio and Patrick Haffner, Gradient-Based Learning Applied to Document
    Recognition, 1998, https://doi.org/10.1109/5.726791
    """
    channels, height, width = image_shape(settings, at_least=12)
    n_features = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 6, 5, padding=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(n_features, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, settings.num_classes),
        )
    )
