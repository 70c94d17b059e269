"""Plots of grid-search results: each function takes a DataFrame and returns a plotly figure.

Import them from here, `from analysis.plots import plot_axis`: `analysis` alone does not need plotly. A column is given
by its name, or as a Series with the index of the DataFrame. The background is transparent and the text grey, so that
figures can be read on light and dark pages; `fig.update_layout(template=...)` changes both.
"""

try:
    import plotly  # noqa: F401
except ImportError as error:
    raise ImportError(
        "analysis.plots needs plotly, which is not installed. Run: pip install 'dynsparse[jupyter]'"
    ) from error

from analysis.plots.axis import plot_axis
from analysis.plots.critical_difference import plot_critical_difference
from analysis.plots.curves import plot_curves
from analysis.plots.failures import plot_failures
from analysis.plots.importance import plot_importance
from analysis.plots.parallel import plot_parallel
from analysis.plots.pareto import plot_pareto
from analysis.plots.pivot import plot_pivot
from analysis.plots.profiles import plot_performance_profile
from analysis.plots.pruning import plot_learning, plot_sweeps
from analysis.plots.sparsity import plot_sparsity
from analysis.plots.tickets import plot_pruned_fractions, plot_rounds, plot_tickets
from analysis.plots.weights import plot_networks, plot_weights

__all__ = [
    "plot_axis",
    "plot_critical_difference",
    "plot_curves",
    "plot_failures",
    "plot_importance",
    "plot_learning",
    "plot_networks",
    "plot_parallel",
    "plot_pareto",
    "plot_performance_profile",
    "plot_pivot",
    "plot_pruned_fractions",
    "plot_rounds",
    "plot_sparsity",
    "plot_sweeps",
    "plot_tickets",
    "plot_weights",
]
