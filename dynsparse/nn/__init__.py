"""Networks and their optimizers, over a leading trials axis.

A `Network` is a description (sizes, activation, batch norm, dropout); its weights belong to the engine. Layers are pure
functions of tensors, so that hundreds of trials can be computed together.
"""
