"""VGG-11 and VGG-16 with batch norm, for small images."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dynsparse.nn.settings import ModuleSettings, image_shape

# Filters of each convolution; max pooling follows where a tuple ends.
STAGES_11 = ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2)
STAGES_16 = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)


def vgg11(settings: ModuleSettings) -> nn.Module:
    """Build VGG-11 with batch norm: 8 convolutions of 3 x 3 and, as usual for small images, one linear layer.

    The max poolings round sizes up, so that images of 28 x 28 pixels are large enough.

    Reference: Karen Simonyan and Andrew Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition,
    2015, https://arxiv.org/abs/1409.1556 (configuration A)
    """
    return _vgg(settings, STAGES_11)


def vgg16(settings: ModuleSettings) -> nn.Module:
    """Build VGG-16 with batch norm: 13 convolutions of 3 x 3, else as `vgg11`.

    Reference: as `vgg11` (configuration D)
    """
    return _vgg(settings, STAGES_16)


def _vgg(settings: ModuleSettings, stages: tuple[tuple[int, ...], ...]) -> nn.Module:
    n_in, *_ = image_shape(settings, at_least=2)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for stage, filters in enumerate(stages, start=1):
        for number, n_out in enumerate(filters, start=1):
            layers[f"conv{stage}_{number}"] = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
            layers[f"norm{stage}_{number}"] = nn.BatchNorm2d(n_out)
            layers[f"relu{stage}_{number}"] = nn.ReLU(inplace=True)
            n_in = n_out
        layers[f"pool{stage}"] = nn.MaxPool2d(2, ceil_mode=True)
    layers["mean"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(n_in, settings.num_classes)
    return nn.Sequential(layers)
