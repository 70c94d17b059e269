"""Statistics: aggregates, comparisons, correlation, importance, variance, ranking, learning curves, survivors.

Each is a function from the DataFrame of `load` to a new DataFrame. Every estimate carries its uncertainty and the
number of trials that it was computed from.
"""
