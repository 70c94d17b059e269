"""Helpers for drawing that several plots share: groups, panels, scales, style.

They are private to the plots: import the plots from `analysis.plots`. Each helper works on plotly figures and data
that is already computed.
"""
