"""Loading: trial folders of any Ray Tune version become DataFrames.

One row per trial, or one per trial and epoch, from a local folder or an object store, damaged or not. A cache in the
experiment's folder makes the second load fast. No file of a trial is executed.
"""
