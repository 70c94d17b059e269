"""Runs on disk: the folder of each trial, the lock on an experiment, and how far a grid has come.

A run is resumed from the trial folders alone. Files are written atomically through `dynsparse.io`, on a local disk or
in an object store. Nothing here imports Ray.
"""
