"""Folders in an object store: an S3 server on loopback."""

import threading
import time

import pytest
from support.s3 import BUCKET, s3  # noqa: F401  # a fixture

from dynsparse.io.storage import open_folder


@pytest.fixture
def folder(s3, request):  # noqa: F811
    return open_folder(f"s3://{BUCKET}/{request.node.name}")


def test_what_is_written_is_read(folder):
    assert folder.read("a") is None
    assert folder.names() == []
    folder.replace("a", b"one")
    folder.append("a", b" two")
    folder.append("b", b"new")
    assert (folder.read("a"), folder.read("b")) == (b"one two", b"new")
    folder.sub("c").replace("d", b"")
    assert folder.names() == ["a", "b", "c"]
    folder.delete("a")
    folder.delete("a")
    assert folder.read("a") is None


def test_a_uri_with_options_keeps_them_at_its_end(s3):  # noqa: F811
    uri = f"s3://{BUCKET}/options?endpoint_override={s3.environment['AWS_ENDPOINT_URL'].removeprefix('http://')}"
    folder = open_folder(f"{uri}&scheme=http")
    folder.sub("c").replace("d", b"1")
    assert open_folder(f"s3://{BUCKET}/options/c").read("d") == b"1"


def test_a_bucket_that_does_not_exist_is_an_error_at_once(s3):  # noqa: F811
    started = time.monotonic()
    with pytest.raises(OSError, match="bucket"):
        open_folder("s3://another/folder").replace("a", b"")
    assert time.monotonic() - started < 5


def test_a_store_that_is_away_for_a_while_loses_nothing(s3, folder):  # noqa: F811
    folder.append("rows", b"one\n")
    s3.stop()
    back = threading.Timer(4, s3.start)
    back.start()
    folder.append("rows", b"two\n")
    back.join()
    assert folder.read("rows") == b"one\ntwo\n"
