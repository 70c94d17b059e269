"""An S3 server on loopback (moto's), which can be away for a while and keeps what it holds."""

import logging
import os
from contextlib import contextmanager

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
# Or each request is a line of what a failing test prints.
logging.getLogger("werkzeug").setLevel(logging.ERROR)


class Store:
    def __init__(self):
        self._server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self._port = port
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self):
        self._server.stop()

    def start(self):
        self._server = ThreadedMotoServer("127.0.0.1", port=self._port, verbose=False)
        self._server.start()


@contextmanager
def running_store():
    """A server with an empty bucket, which the environment of this process and its children points to."""
    store = Store()
    before = {name: os.environ.get(name) for name in store.environment}
    os.environ.update(store.environment)
    try:
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield store
    finally:
        store.stop()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="module")
def s3():
    with running_store() as store:
        yield store
