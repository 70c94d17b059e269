"""Planning: what a configuration asks of the trainer and the engine.

`plan` turns the configs of a pack into a `Plan`; `packs` decides which trials can be trained together. No tensor of a
network is made here, so a plan is cheap and is used to check a grid before it runs.
"""
