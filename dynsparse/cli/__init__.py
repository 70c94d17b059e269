"""The command line. Commands import heavy libraries when they run, so that `dynsparse --help` answers at once."""

import gc

import click

from dynsparse.cli import cache, export, grids, pages, results, trials
from dynsparse.cli.cluster import cluster_file, jobs, submit


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dynsparse")
def main() -> None:
    """Grid searches over dynamically sparse networks on Ray Tune.

    \b
    dynsparse show  experiments/quickstart.py     what the grid would train
    dynsparse run   experiments/quickstart.py     train it
    dynsparse table results/quickstart --rows model --columns on_perc --metric test_acc_at_best
    """
    # The imports of torch and Ray make half a million objects. Looking for garbage among them takes a quarter second.
    gc.set_threshold(100_000)


for command in (
    *(grids.show, grids.keys, trials.run, trials.watch),
    *(results.table, results.compare, results.failures, pages.report, pages.browse),
    *(export.export, cache.cache),
    *(submit.submit, cluster_file.cluster_file, jobs.jobs, jobs.logs, jobs.stop),
):
    main.add_command(command)
