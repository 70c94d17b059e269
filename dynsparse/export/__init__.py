"""Trained networks: load them from trial folders, prune and compress them, and write them as files for other programs.

`load_network` reads the network of a trial, and `export` writes a .safetensors, .onnx or .pt file with a model card.
`load_exported` reads a .safetensors or .pt file back as a torch module, or into one.
"""

from dynsparse.export.files import FORMATS, FORMS, card_path, export, load_exported
from dynsparse.export.network import compressed, load_network, module, pruned
from dynsparse.export.trained_mlp import Trained
from dynsparse.export.trained_module import TrainedModule
from dynsparse.nn.module_network import new_module

__all__ = [
    "FORMATS",
    "FORMS",
    "Trained",
    "TrainedModule",
    "card_path",
    "compressed",
    "export",
    "load_exported",
    "load_network",
    "module",
    "new_module",
    "pruned",
]
