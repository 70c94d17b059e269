"""Planning: translate configurations into instructions for the trainer and the engine.

`plan` turns the configs of a pack into a `Plan`; `packs` decides which trials can be trained together. A plan
allocates no network, so it is cheap and is also used to check a grid before it runs.
"""
