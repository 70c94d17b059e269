"""The engine for packs of hundreds of trials on one GPU: `PackedEngine`."""
