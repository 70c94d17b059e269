"""The DataFrame that `load` returns: its values, the matching of trials, differences between configs.

These helpers know which columns are hyperparameters and how their values compare. They read no files.
"""
