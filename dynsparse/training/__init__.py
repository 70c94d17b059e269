"""Training: a `Trainer` runs the epochs and mask updates of one trial, or of a pack of trials.

It asks an engine to compute and a plan for what comes next, and returns one row of metrics per epoch. Survival
statistics and the cache of a first training, which several studies share, are here too.
"""
