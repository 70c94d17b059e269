"""Data sets of https://www.openml.org, by their number."""

from __future__ import annotations

from dataclasses import replace
from http.client import HTTPException

from dynsparse.data.download import DataError, describe_error, resolve_data_dir
from dynsparse.data.sources.content import Content, Request
from dynsparse.data.sources.tables import check_names, content_of_table


def read_openml(request: Request) -> Content:
    """Return a data set of OpenML as a table, downloaded into the data folder. `target` replaces its own label column.

    Raises:
        DataError: If it cannot be downloaded, or has no label column.
    """
    # Imported here, because it takes a second.
    from sklearn.datasets import fetch_openml

    digits, folder = request.name.partition(":")[2], resolve_data_dir(request.folder)
    if not (digits.isascii() and digits.isdigit()):
        raise DataError(
            f"openml:NUMBER must have the number of a data set, got {request.name!r}. Its page on openml.org shows it "
            "as `id`; the number of iris is 61."
        )
    try:
        loaded = fetch_openml(
            data_id=int(digits), as_frame=True, parser="auto", data_home=str(folder), target_column=None
        )
        details = loaded.details
    except (OSError, ValueError, HTTPException) as error:
        raise DataError(
            f"{request.name!r} cannot be downloaded from openml.org into {folder} ({describe_error(error)}). Check the "
            "number and the network, or copy the folder from a machine that has it."
        ) from error
    names = [str(each) for each in loaded.frame.columns]
    check_names(request.name, names)
    # Columns that the data set itself declares as identifiers.
    ignored = {details.get("row_id_attribute"), *_listed(details.get("ignore_attribute"))} - {*request.targets}
    frame = loaded.frame.drop(columns=[name for name in names if name in ignored])
    own = tuple(_listed(details.get("default_target_attribute")))
    return content_of_table(replace(request, target=request.targets or own), frame)


def _listed(names: str | list[str] | None) -> list[str]:
    return names.split(",") if isinstance(names, str) else names or []
