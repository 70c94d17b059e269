"""Whether a process still runs, beside what the operating system's tools say."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dynsparse.results.processes import children, machine, start_time


def test_a_process_has_one_start_time_until_it_ends():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    first = start_time(process.pid)
    time.sleep(0.1)
    assert first is not None and start_time(process.pid) == first
    process.communicate(b"\n")
    assert start_time(process.pid) is None


def test_two_processes_have_two_start_times():
    parent = start_time(os.getpid())
    code = "import os; from dynsparse.results.processes import start_time; print(start_time(os.getpid()))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert int(child) > int(parent)


def test_a_killed_child_that_nobody_has_waited_for_does_not_run():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process.kill()
    time.sleep(0.5)
    assert start_time(process.pid) is None
    process.wait()


@pytest.mark.parametrize("pid", [-1, 0, 2**40])
def test_a_number_that_no_process_has(pid):
    assert start_time(pid) is None


def test_the_program_may_have_any_name(tmp_path):
    link = tmp_path / "a) R 1 (b"
    link.symlink_to(Path("/bin/sleep").resolve())
    process = subprocess.Popen([link, "60"])
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(process.pid)], capture_output=True, text=True, check=True)
    assert listed.stdout.strip() and start_time(process.pid).isdigit()
    process.kill()
    process.wait()


def test_processes_of_one_machine_see_the_same_machine():
    code = "from dynsparse.results.processes import machine; print(machine())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert child == machine()


def test_the_children_of_a_process_are_those_that_run():
    before = children(os.getpid())
    processes = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2)]
    assert children(os.getpid()) - before == {each.pid for each in processes}
    for each in processes:
        each.communicate(b"\n")
    assert not children(os.getpid()) - before
