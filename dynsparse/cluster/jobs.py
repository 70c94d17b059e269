"""`Cluster`: the jobs of a Ray cluster, by the address of its dashboard. All of it is done by Ray Jobs."""

from __future__ import annotations

import logging
import os
import shlex
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import ray
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient, JobType

from dynsparse.cluster.packaging import requirements, stage_experiment, stage_package

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
# What dynsparse itself needs, and so the head.
OLDEST_RAY = (2, 52)
KNOCK_SECONDS = 5.0
# A run writes what it has and says how to go on; Ray's own patience is 3 s.
STOP_SECONDS = 60
# Ray takes some seconds to notice that a job has ended.
NOTICE_SECONDS = 30.0
# pip may have to install torch. Ray itself gives a job 15 minutes to start.
PIP_SECONDS = 900
# What Ray's client tells of each file that it sends.
LOGGERS = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging")
# Keys of a job's metadata.
FOLDER, RERUN_COMMAND = "dynsparse_folder", "dynsparse_rerun_command"
# The key that 0.1.0 wrote instead of RERUN_COMMAND.
OLD_RERUN_COMMAND = "dynsparse_again"


class ClusterError(ValueError):
    """A cluster, or a job, that cannot be had as asked; the message says what to do."""


class NoAnswerError(ClusterError):
    """Nobody answers; it may help to wait."""


class UnknownJobError(ClusterError):
    """The cluster has no job of this id."""


class Cluster:
    """The jobs of a Ray cluster.

    Args:
        address: of its dashboard, http://HOST:8265; without http:// that is added.

    Raises: ClusterError where nobody answers, where it is no Ray that does, or an old one, or one that wants another
    token. So do all methods.
    """

    def __init__(self, address: str) -> None:
        self.address = (address if "://" in address else f"http://{address}").rstrip("/")
        if urlsplit(self.address).scheme not in ("http", "https"):
            raise ClusterError(f"the address is that of the dashboard, {DEFAULT_ADDRESS} for example; got {address!r}")
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        with self._explained(connecting=True), _without_environment("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            self._knock()
            # Ray would prefer the variables to what it is given.
            self._client = JobSubmissionClient(self.address)
            self.ray_version = str(self._client._server_ray_version)
        if _release(self.ray_version) < OLDEST_RAY:
            raise ClusterError(
                f"the cluster at {self.address} runs Ray {self.ray_version}, and dynsparse takes at least "
                f"{'.'.join(map(str, OLDEST_RAY))}; here is {ray.__version__}: install that there"
            )

    def submit(
        self,
        file: str | Path,
        arguments: Sequence[str],
        *,
        folder: str,
        rerun: str,
        environment: Mapping[str, str] | None = None,
        pip: bool = False,
    ) -> str:
        """Start `dynsparse run` of an experiment file on the head; the job's id.

        Args:
            file: the experiment file, which this process has loaded; it is sent, with what it imports from beside it
                and with this version of dynsparse.
            arguments: what follows the file in `dynsparse run FILE ...`.
            folder: of the experiment's results; of two jobs that are not over each has its own.
            rerun: the command that resumes the job, for its metadata.
            environment: variables of all processes of the job. The dashboard shows them.
            pip: have Ray install on each node what dynsparse needs.

        Raises: also StagingError for files that are too large; ClusterError where another job is at the folder.
        """
        for job in self.jobs():
            if job.metadata and job.metadata.get(FOLDER) == folder and not job.status.is_terminal():
                there = job.submission_id
                raise ClusterError(
                    f"the job {there} is at {folder}: dynsparse logs {there} --follow shows it, dynsparse stop {there} "
                    "ends it; or give another --name"
                )
        with tempfile.TemporaryDirectory() as beside:
            working_dir, about = Path(beside, "working_dir"), Path(beside, "about")
            for each in (working_dir, about):
                each.mkdir()
            staged = stage_experiment(file, working_dir)
            runtime_env = {
                "working_dir": str(working_dir),
                "py_modules": stage_package(about),
                "excludes": ["__pycache__/"],
                "env_vars": {**(environment or {}), "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)},
            }
            if pip:
                runtime_env |= {"pip": requirements(), "config": {"setup_timeout_seconds": PIP_SECONDS}}
            # Without exec a shell stands between Ray and the run, and dies of the TERM that the run survives.
            command = ["python", "-m", "dynsparse.cli", "run", staged, "--address", "auto", *arguments]
            with self._explained():
                return self._client.submit_job(
                    entrypoint=f"exec {shlex.join(command)}",
                    runtime_env=runtime_env,
                    metadata={FOLDER: folder, RERUN_COMMAND: rerun},
                )

    def jobs(self) -> list[JobDetails]:
        """The jobs that dynsparse has started, in the order of their start."""
        with self._explained():
            found = self._client.list_jobs()
        ours = [each for each in found if each.type is JobType.SUBMISSION and FOLDER in (each.metadata or {})]
        return sorted(ours, key=lambda each: each.start_time or 0)

    def job(self, job: str) -> JobDetails:
        """A job as it is now. Raises: also UnknownJobError."""
        with self._explained(job):
            self._knock()
            return self._client.get_job_info(job)

    def logs(self, job: str) -> str:
        """All that a job has printed so far."""
        with self._explained(job):
            return self._client.get_job_logs(job)

    def tail(self, job: str) -> AsyncIterator[str]:
        """What a job has printed and prints, piece by piece, until it ends; whatever breaks a connection is raised."""
        return self._client.tail_job_logs(job)

    def stop(self, job: str) -> tuple[JobDetails, str]:
        """Stop a job politely and wait for its end: the job, and what it has printed since.

        Raises: also ClusterError where it does not end.
        """
        before = len(self.logs(job))
        with self._explained(job):
            self._client.stop_job(job)
        end = time.monotonic() + STOP_SECONDS + NOTICE_SECONDS
        while not (info := self.job(job)).status.is_terminal():
            if time.monotonic() > end:
                raise ClusterError(f"the job {job} has been told to stop and has not ended; try once more")
            time.sleep(0.5)
        return info, self.logs(job)[before:]

    def _knock(self) -> None:
        """Raises: OSError if nobody answers; Ray would wait for minutes."""
        parts = urlsplit(self.address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=KNOCK_SECONDS).close()

    @contextmanager
    def _explained(self, job: str | None = None, *, connecting: bool = False) -> Iterator[None]:
        """What Ray, and the network, raise, as a ClusterError in words."""
        try:
            yield
        except AuthenticationError as error:
            reason = _first_line(error).partition(". ")[0]
            raise ClusterError(
                f"the cluster at {self.address} does not take the token ({reason}); it must be the one that "
                "the cluster was started with: set RAY_AUTH_MODE=token, and put the token into RAY_AUTH_TOKEN "
                "or ~/.ray/auth_token"
            ) from error
        except requests.exceptions.SSLError as error:
            raise ClusterError(f"{self.address} has no certificate that can be trusted: {error}") from error
        # An answer that is no JSON is an OSError too.
        except requests.exceptions.JSONDecodeError as error:
            raise ClusterError(self._no_dashboard()) from error
        except OSError as error:
            if isinstance(error, requests.exceptions.HTTPError | requests.exceptions.InvalidURL):
                raise ClusterError(self._no_dashboard()) from error
            raise NoAnswerError(
                f"nobody answers at {self.address} ({_first_line(error)}); it is the address of the dashboard, which "
                "ray start --head prints, or of a tunnel to it"
            ) from error
        except (RuntimeError, KeyError, ValueError) as error:
            text = str(error)
            if "status code 404" in text and job is not None:
                raise UnknownJobError(
                    f"the cluster at {self.address} has no job {job!r}; dynsparse jobs lists them"
                ) from error
            if "status code 5" in text:
                raise NoAnswerError(f"the cluster at {self.address} cannot answer now: {text}") from error
            if connecting:
                raise ClusterError(self._no_dashboard()) from error
            raise ClusterError(f"the cluster at {self.address} refuses: {text}") from error

    def _no_dashboard(self) -> str:
        return (
            f"what answers at {self.address} is no dashboard of Ray; the address is the one that ray start --head "
            "prints for it, with port 8265 most often"
        )


def exit_code(info: JobDetails) -> int:
    """What `dynsparse run` would have ended with; 143 for a job that was stopped, 1 for one that never ran."""
    if info.status is JobStatus.SUCCEEDED:
        return 0
    if info.status is JobStatus.STOPPED:
        return 143
    code = info.driver_exit_code
    # A process that a signal ended has its number below zero.
    return 1 if code is None else 128 - code if code < 0 else code


def rerun_command(info: JobDetails) -> str | None:
    """Return the command that resumes a job, or None if the job does not say it."""
    metadata = info.metadata or {}
    return metadata.get(RERUN_COMMAND) or metadata.get(OLD_RERUN_COMMAND)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _release(version: str) -> tuple[int, ...]:
    """(2, 60) of "2.60.0"; nothing is older than what cannot be read."""
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else OLDEST_RAY


@contextmanager
def _without_environment(*names: str) -> Iterator[None]:
    """Environment variables taken away, for a while."""
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
