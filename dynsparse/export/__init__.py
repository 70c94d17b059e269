"""Trained networks: load them from trial folders, prune and compress them, and write them as files for other programs.

`load_network` reads the network of a trial, and `export` writes a .safetensors, .onnx or .pt file with a model card.
`load_exported` reads a .safetensors or .pt file back as a torch module.
"""

from dynsparse.export.files import FORMATS, FORMS, card_path, export, load_exported
from dynsparse.export.network import Trained, compressed, load_network, module, pruned

__all__ = [
    "FORMATS",
    "FORMS",
    "Trained",
    "card_path",
    "compressed",
    "export",
    "load_exported",
    "load_network",
    "module",
    "pruned",
]
