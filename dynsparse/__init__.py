"""Grid searches over dynamically sparse networks on Ray Tune.

`dynsparse.experiment.Experiment` declares a grid, `dynsparse.tune.run` trains it, `analysis.load` reads it back.
"""

__version__ = "0.1.0"
