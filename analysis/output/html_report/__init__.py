"""The HTML report: one page about an experiment, which opens in any browser without a network.

`page` puts it together, `results` decides what it is about, and each other module makes one of its sections as HTML. A
section that does not apply to the trials is an empty string.
"""
