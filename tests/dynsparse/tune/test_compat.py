"""Private API and messages of Ray that we use. After an update of Ray, a failing test here names what broke."""

import ast
import contextlib
import inspect
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import pytest
import ray
from ray import exceptions, tune
from ray._private import node as ray_node

from dynsparse.experiment import ExperimentError
from dynsparse.results.processes import children
from dynsparse.tune import compat, ray_session
from dynsparse.tune.ray_session import quiet_tune, start_ray

pytestmark = pytest.mark.ray
# Trials end in different ways, told by the `end` in their config.
ENDS = ["complete", "dies", "raises"]


class Ends(tune.Trainable):
    def step(self):
        if self.config["end"] == "dies":
            os._exit(1)
        if self.config["end"] == "raises":
            raise RuntimeError("the actor of this play has died")
        return {"done": True, "actor": ray.get_runtime_context().get_actor_id()}

    def save_checkpoint(self, checkpoint_dir):
        return None


class Endless(tune.Trainable):
    def step(self):
        time.sleep(0.05)
        return {"done": False}

    def save_checkpoint(self, checkpoint_dir):
        return None


class Notes(tune.Callback):
    def __init__(self):
        self.actors, self.told, self.errors = {}, {}, {}

    def on_trial_start(self, iteration, trials, trial, **info):
        self.actors[trial.config["end"]] = compat.actor_id(trial)

    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.told[trial.config["end"]] = result["actor"]

    def on_trial_error(self, iteration, trials, trial, **info):
        self.errors[trial.config["end"]] = compat.error_text(trial)


class StopsAtTheThirdResult(tune.Callback):
    def __init__(self):
        self.n_results = 0

    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.n_results += 1
        if self.n_results == 3:
            compat.stop_tune()


def fit(trainable, path, space, callback):
    tune.Tuner(
        trainable,
        param_space=space,
        run_config=tune.RunConfig(
            name="here",
            storage_path=str(path),
            verbose=0,
            callbacks=[callback],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()


@pytest.fixture(scope="module")
def local_ray():
    start_ray("local")
    yield
    ray.shutdown()


@pytest.fixture
def logged():
    """Return the messages that Tune logs with a Ray that its user has initialized: `start_ray` logs less."""
    texts = []

    class Keep(logging.Handler):
        def emit(self, record):
            texts.append(record.getMessage())

    keep, logger = Keep(), logging.getLogger("ray.tune")
    logger.addHandler(keep)
    level = logging.getLogger("ray").level
    logging.getLogger("ray").setLevel(logging.INFO)
    yield texts
    logging.getLogger("ray").setLevel(level)
    logger.removeHandler(keep)


@pytest.mark.faults
def test_tune_tells_callbacks_the_actor_and_the_text_of_an_error(local_ray, tmp_path, capfd, logged):
    notes = Notes()
    with quiet_tune():
        fit(Ends, tmp_path, {"end": tune.grid_search(ENDS)}, notes)
    printed = capfd.readouterr()
    assert notes.actors.keys() == set(ENDS) and all(notes.actors.values()), "Trial.temporary_state.ray_actor"
    assert notes.told == {"complete": notes.actors["complete"]}
    assert notes.errors.keys() == {"dies", "raises"}, "Trial.error_file"
    assert compat.is_process_death(notes.errors["dies"]), notes.errors["dies"]
    assert "the actor of this play has died" in notes.errors["raises"]
    assert not compat.is_process_death(notes.errors["raises"])
    # The environment variables and loggers of `quiet_tune`.
    assert "Configuration for experiment" not in printed.out and logged == []
    assert not list(tmp_path.rglob("events.out.tfevents.*")) and not list(tmp_path.rglob("result.json"))
    # A damaged first file would stop the next run of the same name. What a link leads to would be overwritten.
    assert all((tmp_path / "here" / name).exists() for name in compat.TUNE_FILES)


def test_without_quiet_tune_tune_prints_and_writes_what_it_suppresses(local_ray, tmp_path, capfd, logged):
    """Otherwise the test above could not fail."""
    fit(Ends, tmp_path, {"end": "raises"}, Notes())
    assert "Configuration for experiment" in capfd.readouterr().out
    assert any("Trial task failed" in text for text in logged)
    assert list(tmp_path.rglob("result.json"))


def test_a_trial_without_an_actor_or_a_text_has_none():
    assert compat.actor_id(object()) == ""
    assert compat.error_text(type("Trial", (), {"error_file": None})) == (
        "the trial failed, and Ray kept no text of the error"
    )


@pytest.mark.faults
def test_sigusr1_stops_tune_although_its_sigint_handler_is_disabled(local_ray, tmp_path):
    stops = StopsAtTheThirdResult()
    with quiet_tune():
        fit(Endless, tmp_path, {}, stops)
    assert 3 <= stops.n_results < 20


def test_the_message_of_a_node_that_does_not_start_in_time():
    """Ray raises a bare Exception after 30 s. Its text stands in the source of the installed version."""
    source = ast.parse(inspect.getsource(ray_node))
    raised = [each.exc for each in ast.walk(source) if isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call)]
    messages = [
        call.args[0].value for call in raised if call.func.id == "Exception" and isinstance(call.args[0], ast.Constant)
    ]
    assert sum(compat.is_failed_start(Exception(message)) for message in messages) == 1
    assert not compat.is_failed_start(Exception("The current node has not been updated within 30 seconds"))
    assert compat.is_failed_start(ray.exceptions.RaySystemError("Failed to connect to GCS."))
    assert compat.is_failed_start(RuntimeError("Timed out waiting for file /tmp/ray/gcs_server_port_1"))


@pytest.mark.faults
def test_usage_reports_are_off_before_ray_reads_the_setting():
    code = (
        "import os; os.environ.pop('RAY_USAGE_STATS_ENABLED', None)\n"
        "import dynsparse.tune\n"
        "from ray._common.usage import usage_lib\n"
        "assert not usage_lib.usage_stats_enabled()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@ray.remote(num_cpus=1)
class Holder:
    """Holds 600 MB, more than any other process of this Ray."""

    def hold(self, seconds):
        self.memory = bytearray(os.urandom(1)) * 600_000_000
        time.sleep(seconds)
        return "alive"


@pytest.fixture
def full_memory(monkeypatch):
    """For Ray, the memory is full from the start: its monitor kills what it may."""
    ray.shutdown()
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    yield
    ray.shutdown()


@pytest.mark.faults
def test_a_ray_of_a_run_has_no_memory_monitor_listens_on_loopback_and_leaves_no_files(full_memory, monkeypatch, capsys):
    # Workers import this module to find its trainables, and they do not find `support`.
    from support.listeners import family, listening_addresses

    monkeypatch.setattr(ray_session, "PATIENCE_SECONDS", 0.0)
    # Not tmp_path: the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        with ray_session.ray_session("local"):
            assert "starting Ray" in capsys.readouterr().err
            assert ray.get(Holder.options(max_restarts=0).remote().hold.remote(3)) == "alive"
            assert listening_addresses(family(os.getpid())) == {"127.0.0.1"}
            assert list(Path(folder).glob("ray-*/session_latest/logs/*"))
        assert not list(Path(folder).iterdir())


@pytest.mark.faults
def test_the_actor_that_rays_memory_monitor_killed_and_its_memory(full_memory, monkeypatch):
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "500")
    start_ray("local")
    holder = Holder.options(max_restarts=0).remote()
    with pytest.raises(ray.exceptions.OutOfMemoryError) as caught:
        ray.get(holder.hold.remote(60))
    # Tune raises another error from it.
    error = RuntimeError("Tune gives up")
    error.__cause__ = caught.value
    assert compat.largest_memory_kill(error) == compat.largest_memory_kill(caught.value), str(caught.value)
    if "where the lease" in str(caught.value):
        pytest.skip(f"Ray {ray.__version__} does not say which actor it killed")
    actor, gigabytes = compat.largest_memory_kill(caught.value)
    assert actor == holder._actor_id.hex()
    assert 0 <= gigabytes < 5


def test_no_other_error_is_taken_for_a_memory_kill():
    assert compat.largest_memory_kill(RuntimeError("Selected to kill: (Actor(0123) ... no kill")) is None
    assert compat.largest_memory_kill(None) is None


def test_what_ray_loses_is_no_failure_of_a_trial():
    lost = [
        exceptions.ActorUnavailableError("RPC error", b"1" * 16),
        exceptions.NodeDiedError("its node"),
        exceptions.LocalRayletDiedError(),
        exceptions.ObjectLostError("00" * 28, b"", ""),
        exceptions.OwnerDiedError("00" * 28, b"", ""),
        exceptions.RaySystemError("the head has gone"),
    ]
    own = [exceptions.ActorDiedError(), exceptions.WorkerCrashedError(), MemoryError("NodeDied"), ValueError("lost")]
    for error in (*lost, *own):
        text = "".join(traceback.format_exception(error))
        assert compat.is_infrastructure_failure(text) == (error in lost), text


@pytest.mark.faults
def test_a_start_that_fails_leaves_no_process(monkeypatch):
    """A raylet that is stopped at once is not ready within Ray's 30 s."""
    ray.shutdown()
    monkeypatch.setattr(ray_session, "START_ATTEMPTS", 1)
    before, end = children(os.getpid()), threading.Event()

    def stop_raylet():
        while not end.wait(0.01):
            for pid in children(os.getpid()) - before:
                with contextlib.suppress(OSError):
                    if b"raylet/raylet" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(pid, signal.SIGSTOP)
                        return

    stopper = threading.Thread(target=stop_raylet)
    stopper.start()
    try:
        with pytest.raises(
            ExperimentError, match=r"(?s)Ray did not start in 1 attempts: .*time.*--in-process.*--address"
        ):
            start_ray("local")
    finally:
        end.set()
        stopper.join()
    left = children(os.getpid()) - before
    assert not {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left}
