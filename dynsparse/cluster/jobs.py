"""`Cluster`: the jobs of a Ray cluster, by way of Ray Jobs."""

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
# The oldest Ray that dynsparse supports, and so the head node needs it.
OLDEST_RAY = (2, 52)
CONNECT_SECONDS = 5.0
# A stopped run writes its results first. Ray's default is 3 s.
STOP_SECONDS = 60
# Ray needs some seconds to notice that a job has ended.
NOTICE_SECONDS = 30.0
# pip may have to install torch. Ray's own limit for the start of a job is 15 minutes.
PIP_SECONDS = 900
# Ray's client logs each file that it sends.
LOGGERS = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging")
# Keys of a job's metadata.
FOLDER, RERUN_COMMAND = "dynsparse_folder", "dynsparse_rerun_command"
# The key of RERUN_COMMAND in jobs of version 0.1.0.
OLD_RERUN_COMMAND = "dynsparse_again"


class ClusterError(ValueError):
    """A cluster that cannot be reached or used, or a job that cannot be sent or found."""


class NoAnswerError(ClusterError):
    """The cluster does not answer. Retrying later may help."""


class UnknownJobError(ClusterError):
    """The cluster has no job of this id."""


class Cluster:
    """The jobs of a Ray cluster.

    Args:
        address: the URL of its dashboard, such as http://HOST:8265. Without a scheme, http:// is added.

    Raises:
        ClusterError: if nothing or something else than Ray answers, if its Ray is too old, or if it does not accept the
            token. All methods raise it, too.
    """

    def __init__(self, address: str) -> None:
        self.address = (address if "://" in address else f"http://{address}").rstrip("/")
        if urlsplit(self.address).scheme not in ("http", "https"):
            raise ClusterError(
                f"--address must be the URL of the cluster's dashboard, such as {DEFAULT_ADDRESS}, got {address!r}."
            )
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        with self._explained(connecting=True), _without_environment("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            self._check_connection()
            # Ray would prefer the environment variables to its argument.
            self._client = JobSubmissionClient(self.address)
            # The client's get_version returns the version of the interface, and some versions of Ray keep nothing else.
            self.ray_version = str(self._client._do_request("GET", "/api/version").json()["ray_version"])
        if _release(self.ray_version) < OLDEST_RAY:
            raise ClusterError(
                f"The cluster must run Ray {'.'.join(map(str, OLDEST_RAY))} or later, got Ray {self.ray_version} at "
                f"{self.address}. Install Ray {ray.__version__} there, the version on this machine."
            )

    def submit(
        self,
        file: str | Path,
        arguments: Sequence[str],
        *,
        folder: str,
        rerun: str,
        environment: Mapping[str, str] | None = None,
        data: Sequence[str] = (),
        pip: bool = False,
    ) -> str:
        """Start `dynsparse run` of an experiment file on the head node.

        Args:
            file: the experiment file, which this process has loaded. It is sent with the files that it imports from its
                folder and with this version of dynsparse.
            arguments: the words after the file in `dynsparse run FILE ...`.
            folder: the experiment's results. Only one running job may write there.
            rerun: the command that resumes the job, for its metadata.
            environment: environment variables of all processes of the job. The dashboard shows them.
            data: data files to send, relative to the folder of the experiment file.
            pip: have Ray install on each node the packages that dynsparse needs.

        Returns:
            The job's id.

        Raises:
            StagingError: if the files are too large.
            ClusterError: if another running job writes to the folder.
        """
        for job in self.jobs():
            if job.metadata and job.metadata.get(FOLDER) == folder and not job.status.is_terminal():
                other = job.submission_id
                raise ClusterError(
                    f"Only one job may write to {folder}, and the job {other} is running there. Follow it (dynsparse "
                    f"logs {other} --follow), stop it (dynsparse stop {other}), or give another --name."
                )
        with tempfile.TemporaryDirectory() as temporary:
            working_dir, about = Path(temporary, "working_dir"), Path(temporary, "about")
            for each in (working_dir, about):
                each.mkdir()
            staged = stage_experiment(file, working_dir, data)
            runtime_env = {
                "working_dir": str(working_dir),
                "py_modules": stage_package(about),
                "excludes": ["__pycache__/"],
                "env_vars": {**(environment or {}), "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)},
            }
            if pip:
                runtime_env |= {"pip": requirements(), "config": {"setup_timeout_seconds": PIP_SECONDS}}
            # Without exec, a shell between Ray and the run would die of the TERM signal that the run survives.
            command = ["python", "-m", "dynsparse.cli", "run", staged, "--address", "auto", *arguments]
            with self._explained():
                return self._client.submit_job(
                    entrypoint=f"exec {shlex.join(command)}",
                    runtime_env=runtime_env,
                    metadata={FOLDER: folder, RERUN_COMMAND: rerun},
                )

    def jobs(self) -> list[JobDetails]:
        """Return the jobs that dynsparse has started, in the order of their start."""
        with self._explained():
            found = self._client.list_jobs()
        ours = [each for each in found if each.type is JobType.SUBMISSION and FOLDER in (each.metadata or {})]
        return sorted(ours, key=lambda each: each.start_time or 0)

    def job(self, job: str) -> JobDetails:
        """Return the current details of a job.

        Raises:
            UnknownJobError: if the cluster does not have the job.
        """
        with self._explained(job):
            self._check_connection()
            return self._client.get_job_info(job)

    def logs(self, job: str) -> str:
        """Return the output of a job so far."""
        with self._explained(job):
            return self._client.get_job_logs(job)

    def tail(self, job: str) -> AsyncIterator[str]:
        """Return an iterator over the output of a job, from its start to its end. It raises Ray's own errors."""
        return self._client.tail_job_logs(job)

    def stop(self, job: str) -> tuple[JobDetails, str]:
        """Ask a job to stop, and wait for its end.

        Returns:
            The details of the job, and its output since the request.

        Raises:
            ClusterError: if it does not end in time.
        """
        before = len(self.logs(job))
        with self._explained(job):
            self._client.stop_job(job)
        end = time.monotonic() + STOP_SECONDS + NOTICE_SECONDS
        while not (info := self.job(job)).status.is_terminal():
            if time.monotonic() > end:
                raise ClusterError(
                    f"The job {job} must end within {STOP_SECONDS + NOTICE_SECONDS:.0f} s of dynsparse stop, and has "
                    f"not ended. Rerun: dynsparse stop {job}."
                )
            time.sleep(0.5)
        return info, self.logs(job)[before:]

    def _check_connection(self) -> None:
        """Check that something answers, because Ray would wait for minutes.

        Raises:
            OSError: if nothing answers.
        """
        parts = urlsplit(self.address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()

    @contextmanager
    def _explained(self, job: str | None = None, *, connecting: bool = False) -> Iterator[None]:
        """Turn errors of Ray and of the network into a ClusterError."""
        try:
            yield
        except AuthenticationError as error:
            reason = _first_line(error).partition(". ")[0]
            raise ClusterError(
                f"The cluster at {self.address} does not accept the token: {reason}. Set RAY_AUTH_MODE=token, and put "
                "the token with which the cluster was started into RAY_AUTH_TOKEN or ~/.ray/auth_token."
            ) from error
        except requests.exceptions.SSLError as error:
            raise ClusterError(f"The certificate of {self.address} cannot be verified: {error}") from error
        # requests raises a subclass of OSError for an answer that is not JSON.
        except requests.exceptions.JSONDecodeError as error:
            raise ClusterError(self._no_dashboard()) from error
        except OSError as error:
            if isinstance(error, requests.exceptions.HTTPError | requests.exceptions.InvalidURL):
                raise ClusterError(self._no_dashboard()) from error
            raise NoAnswerError(
                f"No cluster answers at {self.address}: {_first_line(error)}. --address must be the URL of the "
                "dashboard, which ray start --head prints, or of a tunnel to it."
            ) from error
        except (RuntimeError, KeyError, ValueError) as error:
            text = str(error)
            if "status code 404" in text and job is not None:
                raise UnknownJobError(
                    f"The cluster at {self.address} has no job {job!r}. List its jobs: dynsparse jobs."
                ) from error
            if "status code 5" in text:
                raise NoAnswerError(f"The cluster at {self.address} cannot answer now: {text}") from error
            if connecting:
                raise ClusterError(self._no_dashboard()) from error
            raise ClusterError(f"The cluster at {self.address} refuses the request: {text}") from error

    def _no_dashboard(self) -> str:
        return (
            f"--address must be the URL of Ray's dashboard, got {self.address}, where something else answers. Use the "
            "URL that ray start --head prints; its port is usually 8265."
        )


def exit_code(info: JobDetails) -> int:
    """Return the exit code of a job's `dynsparse run`: 143 if it was stopped, 1 if it never ran."""
    if info.status is JobStatus.SUCCEEDED:
        return 0
    if info.status is JobStatus.STOPPED:
        return 143
    code = info.driver_exit_code
    # The code of a process that a signal ended is the negative number of the signal.
    return 1 if code is None else 128 - code if code < 0 else code


def rerun_command(info: JobDetails) -> str | None:
    """Return the command that resumes a job, or None if the job does not say it."""
    metadata = info.metadata or {}
    return metadata.get(RERUN_COMMAND) or metadata.get(OLD_RERUN_COMMAND)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _release(version: str) -> tuple[int, ...]:
    """Return (2, 60) for "2.60.0", and the oldest supported release for a version that is not numbers."""
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else OLDEST_RAY


@contextmanager
def _without_environment(*names: str) -> Iterator[None]:
    """Remove environment variables, and restore them afterwards."""
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
