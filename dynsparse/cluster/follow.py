"""Following a job: what it prints, until it ends, across connections that break."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
from ray.job_submission import JobDetails

from dynsparse.cluster.jobs import Cluster, NoAnswerError

# A job that is silent for so long is asked for: a connection may be dead without a word.
SILENCE_SECONDS = 15.0
# Between two tries to connect again.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 8.0
# After which nobody is expected any more.
GIVE_UP_SECONDS = 120.0


def follow(cluster: Cluster, job: str, show: Callable[[str], None], say: Callable[[str], None]) -> JobDetails:
    """Show what a job prints until it has ended; the job as it ended.

    Args:
        show: gets the job's output, piece by piece, each once.
        say: gets a line about the connection when it breaks, and when it is there again.

    Raises: NoAnswerError when nobody has answered for GIVE_UP_SECONDS; ClusterError, as where a cluster that was
    started anew does not know the job.
    """
    return asyncio.run(_follow(cluster, job, show, say))


async def _follow(cluster: Cluster, job: str, show: Callable[[str], None], say: Callable[[str], None]) -> JobDetails:
    n_shown, lost_at, pause = 0, None, FIRST_PAUSE_SECONDS
    while True:
        try:
            # Each connection tells all from the start.
            n_told = 0
            async for text in _pieces(cluster, job):
                if lost_at is not None:
                    say("connected again")
                    lost_at, pause = None, FIRST_PAUSE_SECONDS
                new = text[max(0, n_shown - n_told) :]
                n_told += len(text)
                if new:
                    show(new)
                    n_shown += len(new)
        except (aiohttp.ClientError, OSError, RuntimeError, NoAnswerError):
            # What it was does not matter: the next question tells whether anybody is there.
            pass
        try:
            info = await asyncio.to_thread(cluster.job, job)
            if info.status.is_terminal():
                show((await asyncio.to_thread(cluster.logs, job))[n_shown:])
                return info
        except NoAnswerError as error:
            if lost_at is not None and time.monotonic() - lost_at > GIVE_UP_SECONDS:
                raise NoAnswerError(
                    f"nobody has answered at {cluster.address} for {GIVE_UP_SECONDS:.0f} s: the head is lost, or what "
                    "leads to it"
                ) from error
        if lost_at is None:
            lost_at = time.monotonic()
            say(f"the connection to {cluster.address} is lost; the job goes on if its head does; trying again")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _pieces(cluster: Cluster, job: str) -> AsyncIterator[str]:
    """What the job prints. Raises: NoAnswerError where it is silent and nobody answers; whatever else breaks."""
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
