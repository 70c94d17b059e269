"""Training: a `Trainer` runs the epochs and mask updates of a pack of trials.

It follows a plan, computes with an engine, and returns one row of metrics per step. Survival statistics and the cache
of a first training that several trials share are here too.
"""
