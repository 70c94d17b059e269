"""Arrays in a .npz file of numpy."""

from __future__ import annotations

import zipfile
import zlib

import numpy as np

from dynsparse.data.download import DataError, describe_error
from dynsparse.data.sources.arrays import content_of_arrays
from dynsparse.data.sources.content import Array, Content, Request, hash_file
from dynsparse.data.sources.files import check_memory, find_file

# Names of the arrays, for data with a test part and without.
WITH_TEST, WITHOUT_TEST = ("train_x", "train_y", "test_x", "test_y"), ("x", "y")


def read_npz(request: Request) -> Content:
    """Return the arrays train_x, train_y, test_x and test_y of a file, or x and y.

    Raises:
        DataError: If the file is missing or damaged, or has other arrays.
    """
    path = find_file(request)
    try:
        with zipfile.ZipFile(path) as archive:
            check_memory(request.name, sum(each.file_size for each in archive.infolist()))
        # A pickled object could run code.
        with np.load(path, allow_pickle=False) as arrays:
            names = sorted(arrays.files)
            known = next((each for each in (WITH_TEST, WITHOUT_TEST) if sorted(each) == names), None)
            read = {name: arrays[name] for name in known or ()}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path} must have arrays of numbers or text, got an array of Python objects, which is not read "
                "because it could run code. Save it with another dtype, such as x.astype('float32')."
            ) from error
        raise DataError(
            f"{path} cannot be read, it may be damaged ({describe_error(error)}). Write it with numpy.savez."
        ) from error
    if known is None:
        raise DataError(
            f"{path} must have the arrays {', '.join(WITH_TEST)}, or {' and '.join(WITHOUT_TEST)}, got "
            f"{', '.join(names) or 'none'}. Rename them: numpy.savez(path, train_x=..., train_y=...)."
        )
    pairs: list[tuple[Array, Array]] = [(read[known[i]], read[known[i + 1]]) for i in range(0, len(known), 2)]
    return content_of_arrays(request.name, pairs, hash_file(path))
