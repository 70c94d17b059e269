"""Faults 1 to 4: the process of a trial is killed, its code raises, it takes too much memory, it hangs."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from support.fault_bed import N_TRIALS, check_all, check_complete, check_no_survivors, check_numbers, check_observer

import analysis
from dynsparse.results.trial_folder import folder_name, identity

pytestmark = pytest.mark.ray


@pytest.mark.faults
def test_processes_of_three_trials_are_killed(bed, reference):
    chance = random.Random(1)
    run = bed.start()
    killed = set()
    for n_begun in [n + chance.randrange(8) for n in (12, 35, 60)]:
        bed.wait_for(lambda events, n=n_begun: len(events) >= n)
        time.sleep(chance.random() * 0.1)
        pid = next(event["pid"] for event in reversed(bed.events()) if event["pid"] not in killed)
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    assert run.wait() == 0, run.text
    check_all(bed, reference, interruptions=3)


def all_but(bed, config):
    return {identity(each) for each in bed.configs()} - {identity(config)}


def check_one_failed(bed, reference, config, run):
    """The 11 others are complete; the report says which failed."""
    check_complete(bed, all_but(bed, config))
    check_numbers(bed, reference)
    check_observer(bed)
    check_no_survivors(bed)
    assert f"{N_TRIALS - 1} trials complete" in run.text and "1 trial failed:" in run.text
    [line] = [line for line in run.text.splitlines() if line.startswith("  ") and f"model={config.model}" in line]
    assert f"on_perc={config.on_perc}" in line and f"seed={config.seed}" in line
    assert "Traceback" not in run.text


def check_retry(bed, reference, config):
    """After the fix only the failed one runs, and only when asked."""
    bed.fault_file.unlink()
    n_before = len(bed.events())
    assert bed.start().wait() == 1
    assert len(bed.events()) == n_before
    run = bed.start("--retry-failed")
    assert run.wait() == 0, run.text
    assert {event["trial"] for event in bed.events()[n_before:]} == {identity(config)}
    check_complete(bed)
    check_numbers(bed, reference)
    check_no_survivors(bed)


@pytest.mark.faults
def test_a_trial_always_fails(bed, reference):
    config = bed.configs()[7]
    bed.fault(config, "raise")
    run = bed.start()
    assert run.wait() == 1, run.text
    check_one_failed(bed, reference, config, run)
    assert "ArithmeticError" in run.text and "the bed made this trial fail" in run.text
    assert "retry" not in run.text, "the same error would be raised again"
    failed = analysis.failures(analysis.load(bed.folder))
    assert len(failed) == 1
    df = analysis.load(bed.folder).set_index("trial_dir")
    assert "the bed made this trial fail" in df["error"][folder_name(config)]
    assert "in go_wrong" in (bed.folder / folder_name(config) / "error.txt").read_text(), "the lines that led there"
    check_retry(bed, reference, config)


@pytest.mark.faults
def test_a_trial_hangs(bed, reference):
    config = bed.configs()[4]
    bed.fault(config, "hang")
    run = bed.start("--epoch-seconds", "6", "--max-failures", "1")
    assert run.wait() == 1, run.text
    check_one_failed(bed, reference, config, run)
    assert "EpochTimeout: an epoch took longer than the limit of 6 s" in run.text
    check_retry(bed, reference, config)


@pytest.mark.faults
def test_the_kernel_ends_a_trial_that_takes_too_much_memory(bed, reference):
    groups = Path("/sys/fs/cgroup/memory")
    if not os.access(groups / "memory.limit_in_bytes", os.W_OK):
        pytest.skip("a group of processes with a limit takes root and cgroups of version 1")
    config = bed.configs()[4]
    bed.fault(config, "cgroup")
    try:
        run = bed.start("--max-failures", "1")
        assert run.wait() == 1, run.text
        check_one_failed(bed, reference, config, run)
        assert "OutOfMemoryError: the system killed the trial's process because the machine was out of" in run.text
        check_retry(bed, reference, config)
    finally:
        bed.end()
        for group in groups.glob("bed-*"):
            group.rmdir()


@pytest.mark.faults
def test_the_memory_monitor_of_a_cluster_ends_a_trial(bed, reference):
    """A Ray of our own has none; here it is told to have one. It may end other trials as well, and Tune ends all."""
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(memory[name].split()[0]) / 2**20 for name in ("MemTotal", "MemAvailable"))
    if free < 10:
        pytest.skip(f"{free:.1f} GiB of memory are free; this test wants 10")
    # The two trials, Ray and the driver take about 2 GiB.
    threshold = (total - free + 4) / total
    config = bed.configs()[4]
    bed.fault(config, "memory")
    monitor = dict(RAY_memory_usage_threshold=f"{threshold:.3f}", RAY_memory_monitor_refresh_ms="250")
    run = bed.start("--max-failures", "1", **monitor)
    assert run.wait() == 1, run.text
    check_one_failed(bed, reference, config, run)
    assert f"{folder_name(config)}: OutOfMemoryError: the trial took" in run.text
    check_retry(bed, reference, config)
