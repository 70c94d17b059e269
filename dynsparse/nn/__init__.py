"""Networks and their optimizers, over a leading trials axis.

A network is a description (sizes, activation, batch norm, dropout); its weights belong to the engine. Everything is a
pure function of tensors, so that hundreds of trials can be computed together.
"""
