"""The output of a job while it runs, also across lost connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
from ray.job_submission import JobDetails

from dynsparse.cluster.jobs import Cluster, NoAnswerError

# After this time without output, ask for the job's status: a lost connection may go unnoticed.
SILENCE_SECONDS = 15.0
# Pauses between attempts to reconnect.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 8.0
# Give up after this time without an answer.
GIVE_UP_SECONDS = 120.0


def follow(cluster: Cluster, job: str, show: Callable[[str], None], say: Callable[[str], None]) -> JobDetails:
    """Show the output of a job until it ends.

    Args:
        cluster: the cluster.
        job: the job's id.
        show: called with each new piece of the job's output.
        say: called with a line when the connection is lost, and when it is back.

    Returns:
        The details of the job after its end.

    Raises:
        NoAnswerError: if the cluster has not answered for GIVE_UP_SECONDS.
        ClusterError: if the cluster refuses, for example because it was restarted and does not know the job.
    """
    return asyncio.run(_follow(cluster, job, show, say))


async def _follow(cluster: Cluster, job: str, show: Callable[[str], None], say: Callable[[str], None]) -> JobDetails:
    n_shown, lost_at, pause = 0, None, FIRST_PAUSE_SECONDS
    while True:
        try:
            # Each connection repeats the output from the start.
            n_received = 0
            async for text in _pieces(cluster, job):
                if lost_at is not None:
                    say("reconnected")
                    lost_at, pause = None, FIRST_PAUSE_SECONDS
                new = text[max(0, n_shown - n_received) :]
                n_received += len(text)
                if new:
                    show(new)
                    n_shown += len(new)
        except (aiohttp.ClientError, OSError, RuntimeError, NoAnswerError):
            # The reason does not matter: the next request shows whether the cluster answers.
            pass
        try:
            info = await asyncio.to_thread(cluster.job, job)
            if info.status.is_terminal():
                show((await asyncio.to_thread(cluster.logs, job))[n_shown:])
                return info
        except NoAnswerError as error:
            if lost_at is not None and time.monotonic() - lost_at > GIVE_UP_SECONDS:
                raise NoAnswerError(
                    f"The cluster at {cluster.address} has not answered for {GIVE_UP_SECONDS:.0f} s: the head node or "
                    "the connection to it is lost."
                ) from error
        if lost_at is None:
            lost_at = time.monotonic()
            say(f"Lost the connection to {cluster.address}. The job continues if its head node does. Reconnecting ...")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _pieces(cluster: Cluster, job: str) -> AsyncIterator[str]:
    """Yield the output of a job.

    Raises:
        NoAnswerError: if the job prints nothing and the cluster does not answer.
    """
    tail = cluster.tail(job)
    while True:
        piece = asyncio.ensure_future(anext(tail, None))
        try:
            while not (await asyncio.wait({piece}, timeout=SILENCE_SECONDS))[0]:
                info = await asyncio.to_thread(cluster.job, job)
                if info.status.is_terminal():
                    return
        finally:
            piece.cancel()
        text = piece.result()
        if text is None:
            return
        yield text
