"""The table of networks that are torch modules: `network="LeNet5"` selects a row."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from dynsparse.nn.lenet import lenet5
from dynsparse.nn.residual_mlp import residual_mlp
from dynsparse.nn.resnet import resnet18, resnet20
from dynsparse.nn.speech_cnn import speech_cnn
from dynsparse.nn.vgg import vgg11, vgg16

# Functions from the settings of a trial, or without arguments, to a module that maps float inputs (batch, *input_shape)
# to logits (batch, classes).
MODULES: dict[str, Callable[..., nn.Module]] = {
    "LeNet5": lenet5,
    "VGG11": vgg11,
    "VGG16": vgg16,
    "ResNet18": resnet18,
    "ResNet20": resnet20,
    "SpeechCNN": speech_cnn,
    "ResidualMLP": residual_mlp,
}
