"""The command for the cache of data sets: cache."""

from __future__ import annotations

import click

from dynsparse.cli.parsing import Command, echo


@click.command(cls=Command)
@click.option("--empty", is_flag=True, help="Delete the copies and the fetched files.")
def cache(empty: bool) -> None:
    """Show the size of the cache of data sets, or empty it.

    The cache has copies of data sets as trials use them, up to 1 GiB in all, and files that were fetched from object
    stores. Both are made again when they are needed. Data sets that were downloaded from the internet are kept.
    """
    from dynsparse.io.shared_arrays import ARRAYS, FETCHED, cache_dir, cache_sizes, empty_cache

    before = cache_sizes()
    if empty:
        empty_cache()
    sizes = cache_sizes()
    downloaded = sum(size for name, size in sizes.items() if name not in (ARRAYS, FETCHED))
    echo(str(cache_dir()))
    for what, size in (
        ("copies", sizes.get(ARRAYS, 0)),
        ("fetched", sizes.get(FETCHED, 0)),
        ("downloaded", downloaded),
    ):
        echo(f"  {what:<11}{size / 1e6:9.1f} MB")
    if empty:
        echo(f"deleted: {(sum(before.values()) - sum(sizes.values())) / 1e6:.1f} MB")
