"""A file for SLURM: what it says, what is refused, and that a SLURM runs it, also across its time limit."""

import json
import math
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from support.cluster_files.one_machine_slurm import Slurm, missing, wait

from dynsparse.cluster.run_command import ClusterFileError, RunCommand, shared_storage
from dynsparse.cluster.slurm import sbatch, seconds
from dynsparse.experiment import load_experiment

QUICKSTART = Path(__file__).parents[3] / "experiments" / "quickstart.py"


def command(**changes):
    return RunCommand(**{"file": QUICKSTART, "name": "quickstart", "storage": "/shared/results", **changes})


def text(asked=None, **changes):
    return sbatch(asked or command(), **{"nodes": 2, "cpus_per_node": 8, "time_limit": "12:00:00", **changes})


def directives(text):
    """What sbatch reads: {"--nodes": "2", "--requeue": ""}."""
    lines = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def test_what_is_asked_of_slurm():
    asked = command(options=["--limit", "2"], devices=frozenset({"cuda"}), gpus_per_trial=0.5)
    found = directives(text(asked, gpus_per_node=4, partition="gpu", more_options=["--account=mine", "--exclusive"]))
    assert found == {
        "--job-name": "quickstart",
        "--nodes": "2",
        "--ntasks-per-node": "1",
        "--cpus-per-task": "8",
        "--time": "12:00:00",
        "--gpus-per-node": "4",
        "--partition": "gpu",
        "--account": "mine",
        "--exclusive": "",
        "--output": "%x-%j.out",
        "--open-mode": "append",
        "--requeue": "",
        "--signal": "B:USR1@120",
    }
    assert "--gpus-per-node" not in directives(text()) and "--partition" not in directives(text())


def test_no_blank_is_left_and_bash_takes_it(tmp_path):
    for each in (text(), text(partition="all", more_options=["--mem=0"])):
        assert "{{" not in each and "\n\n\n" not in each
        subprocess.run(["bash", "-n"], input=each, text=True, check=True)
        if shutil.which("shellcheck"):
            file = tmp_path / "job.sbatch"
            file.write_text(each)
            found = subprocess.run(["shellcheck", str(file)], capture_output=True, text=True)
            assert found.returncode == 0, found.stdout


def test_hostile_words_reach_the_run_as_they_are(tmp_path):
    file = tmp_path / 'it\'s $(touch x) "mine"; #.py'
    shutil.copy(QUICKSTART, file)
    options = ["--set", "hidden_sizes=(300,100),(100,)", "--name", "a `b` $HOME {{nodes}} \\ !", "--set", "x=' ; rm y"]
    asked = command(file=file, name="a'b $(c)\n#SBATCH --x", storage="/shared/my results", options=options)
    written = text(asked)
    assert directives(written)["--job-name"] == "a-b-c-sbatch-x"
    # What bash makes of it, with a `dynsparse` that tells what it was given.
    [line] = [line for line in written.splitlines() if line.startswith("run=(")]
    script = f'dynsparse() {{ printf "%s\\0" "$@"; }}\n{line}\n"${{run[@]}}"\n'
    told = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert told.split("\0")[:-1] == ["run", str(file), "--storage", "/shared/my results", *options]
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    "limit, expected",
    # Worked by hand, from the list in sbatch's manual.
    [("90", 5400), ("90:30", 5430), ("1:00:00", 3600), ("2-00", 172800), ("1-2:30", 95400), ("1-02:30:15", 95415)],
)
def test_time_limits(limit, expected):
    assert seconds(limit) == expected
    assert directives(text(time_limit=limit))["--time"] == limit


@pytest.mark.parametrize(
    "limit", ["", "12h", "1:2:3:4", "1-", "-1", "1 day", "12:00:00\n#SBATCH --x", "٣", "0", "UNLIMITED"]
)
def test_a_time_limit_that_sbatch_does_not_take(limit):
    with pytest.raises(ClusterFileError, match="--time must be a time limit of sbatch"):
        text(time_limit=limit)


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(gpus_per_node=2), "device='cpu'"),
        (dict(time_limit="2"), "longer --time"),
        (dict(partition="a b"), "An option of sbatch must be"),
        (dict(partition="a\n#SBATCH --nodes=99"), "An option of sbatch must be"),
        (dict(more_options=["account=mine"]), "An option of sbatch must be"),
    ],
)
def test_bad_options_are_refused(changes, said):
    with pytest.raises(ClusterFileError, match=said):
        text(**changes)


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(storage="/shared/a\nb"), "line break"),
        (dict(options=["--set", "a=b\nc"]), "line break"),
        (dict(options=["--limit", "2", "--fresh"]), "another --name"),
        (dict(devices=frozenset({"cuda"})), "Give --gpus-per-trial"),
        (dict(gpus_per_trial=1), "Give --set device=cuda"),
    ],
)
def test_bad_commands_are_refused(changes, said):
    with pytest.raises(ClusterFileError, match=said):
        command(**changes)


def test_a_trial_must_fit_on_a_node():
    with pytest.raises(ClusterFileError, match="A trial needs 9 CPUs, and a node has 8"):
        text(command(cpus_per_trial=9))
    with pytest.raises(ClusterFileError, match="A trial needs 2 GPUs, and a node has 1"):
        text(command(gpus_per_trial=2, devices=frozenset({"cuda"})), gpus_per_node=1)


def test_storage_that_all_nodes_share(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shared_storage("/shared/x", shared=False) == "/shared/x"
    assert shared_storage("s3://bucket/folder", shared=False) == "s3://bucket/folder"
    assert shared_storage("results", shared=True) == str(tmp_path / "results")
    assert shared_storage("/tmp/results", shared=True) == "/tmp/results"
    for storage, said in [
        ("results", "got the relative path"),
        ("", "got the relative path"),
        ("/tmp", "is usually local"),
    ]:
        with pytest.raises(ClusterFileError, match=said):
            shared_storage(storage, shared=False)


def test_a_node_uses_no_temporary_folder_that_somebody_else_has_made(tmp_path):
    written = text()
    [make] = re.findall(r"^RAY_TMPDIR=\$\(mktemp -d .*\) \|\| exit 2$", written, re.M)
    made = [
        subprocess.run(["bash", "-c", f'{make}; echo "$RAY_TMPDIR"'], env={"SLURM_JOB_ID": "1", "PATH": os.defpath},
                       capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]  # fmt: skip
    assert len({*made}) == 2 and all(re.fullmatch(r"/tmp/dynsparse-1-\w{6}", folder) for folder in made)
    assert all(stat.S_IMODE(os.stat(folder).st_mode) == 0o700 for folder in made)
    for folder in made:
        os.rmdir(folder)
    check = re.search(r"^ *if ! mkdir -m 700.*?^ *fi$", written, re.M | re.S)[0]

    def exit_code(folder):
        return subprocess.run(["bash", "-c", check], env={"RAY_TMPDIR": str(folder), "PATH": os.defpath}).returncode

    assert exit_code(tmp_path / "new") == 0 and stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert exit_code(tmp_path / "new") == 0, "two nodes on one machine"
    (tmp_path / "link").symlink_to(tmp_path / "new")
    assert exit_code(tmp_path / "link") == 1
    if os.geteuid() == 0:
        os.chown(tmp_path / "new", 1, 1)
        assert exit_code(tmp_path / "new") == 1


# What follows runs SLURM itself: minutes.


@pytest.fixture
def slurm():
    lacking = missing()
    if lacking:
        pytest.skip(f"SLURM is not installed ({', '.join(lacking)}): apt-get install slurm-wlm munge")
    # Not tmp_path: the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder, Slurm(Path(folder)) as slurm:
        yield slurm


def rows(trial):
    """The numbers of the epochs in a trial's folder, in their order."""
    return [json.loads(line)["training_iteration"] for line in (trial / "result.json").read_text().splitlines()]


@pytest.mark.faults
def test_sbatch_reads_time_limits_as_we_do(slurm):
    for limit in ("90", "90:30", "1:00:00", "2-00", "1-2:30", "1-02:30:15", "0:61", "100:00:00"):
        job = slurm.submit(text(time_limit=limit, cpus_per_node=1, warning_seconds=1), "--hold")
        days, _, clock = slurm.job(job)["TimeLimit"].rpartition("-")
        hours, minutes, _ = map(int, clock.split(":"))
        # SLURM counts minutes, and rounds up.
        assert (int(days or 0) * 24 + hours) * 60 + minutes == math.ceil(seconds(limit) / 60), limit
    for limit in ("12h", "1:2:3:4", "1 day"):
        with pytest.raises(AssertionError, match="Invalid --time"):
            slurm.submit(text(cpus_per_node=1), "--hold", f"--time={limit}")


@pytest.mark.faults
def test_slurm_runs_it_on_two_nodes(slurm):
    options = ["--limit", "4", "--set", "epochs=3"]
    asked = command(storage=str(slurm.root / "results"), options=options)
    slurm.submit(text(asked, cpus_per_node=1, partition="all"), "--test-only")
    job = slurm.submit(text(asked, cpus_per_node=1, partition="all"))
    done = slurm.ended(job, 300)
    output = (slurm.root / f"quickstart-{job}.out").read_text()
    assert (done["JobState"], done["ExitCode"], done["Restarts"]) == ("COMPLETED", "0:0", "0"), output
    assert "Ray has started on 2 nodes" in output and "4 trials complete" in output
    trials = list((slurm.root / "results" / "quickstart").glob("*/complete.json"))
    assert [rows(trial.parent) for trial in trials] == [[1, 2, 3]] * 4
    # Nothing of it is left.
    assert folders_of(job) == [] and not list(slurm.root.glob("ray-*.log"))
    assert processes_of(job) == []


@pytest.mark.faults
def test_two_jobs_on_one_node_do_not_meet(slurm):
    jobs = []
    for name in ("one", "another"):
        options = ["--name", name, "--limit", "2", "--set", "epochs=3"]
        asked = command(name=name, storage=str(slurm.root / "results"), options=options)
        jobs.append(slurm.submit(text(asked, nodes=1, cpus_per_node=1, more_options=["--nodelist=node1"])))
    done = [slurm.ended(job, 400) for job in jobs]
    assert [each["JobState"] for each in done] == ["COMPLETED"] * 2, [slurm.output(job) for job in jobs]
    # At one time, and each in its own.
    assert max(each["StartTime"] for each in done) < min(each["EndTime"] for each in done)
    assert len(list((slurm.root / "results").glob("*/*/complete.json"))) == 4


@pytest.mark.faults
def test_a_failed_run_fails_the_job_and_is_not_put_back(slurm):
    asked = command(storage=str(slurm.root / "results"), options=["--limit", "1", "--trial-seconds", "0.001"])
    job = slurm.submit(text(asked, nodes=1, cpus_per_node=2))
    done = slurm.ended(job, 300)
    output = (slurm.root / f"quickstart-{job}.out").read_text()
    assert (done["JobState"], done["ExitCode"], done["Restarts"]) == ("FAILED", "1:0", "0"), output
    assert "1 trial failed" in output and f"{slurm.root}/ray-{job}.log" in output
    [left] = folders_of(job)
    shutil.rmtree(left)


@pytest.mark.faults
def test_a_ray_that_cannot_start_fails_the_job(slurm):
    asked = command(storage=str(slurm.root / "results"))
    with socket.socket() as taken:
        # What another test's connections leave behind for a minute is not in the way.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", 20002))  # the port of the first job
        taken.listen()
        once = text(asked, nodes=1, cpus_per_node=2).replace("for attempt in 1 2 3 4 5", "for attempt in 1")
        job = slurm.submit(once)
        done = slurm.ended(job, 300)
    assert job == "1"
    output = (slurm.root / f"quickstart-{job}.out").read_text()
    assert (done["JobState"], done["ExitCode"], done["Restarts"]) == ("FAILED", "1:0", "0"), output
    assert "Ray could not be started" in output and (slurm.root / f"ray-{job}.log").read_text()
    assert not (slurm.root / "results").exists()
    [left] = folders_of(job)
    shutil.rmtree(left)


@pytest.mark.faults
def test_a_run_that_its_time_limit_cuts_off_goes_on_in_the_next_job(slurm):
    # Batches of one, so that all of it takes some minutes.
    n_trials, n_epochs = 12, 300
    options = ["--set", f"epochs={n_epochs}", "--set", "batch_size=1", "--limit", str(n_trials)]
    asked = command(storage=str(slurm.root / "results"), options=options)
    folder = slurm.root / "results" / "quickstart"
    job = slurm.submit(text(asked, nodes=1, cpus_per_node=2, time_limit="2:00:00"))
    slurm.during(job, lambda: list(folder.glob("*/complete.json")), 400)
    # Its time is nearly up, of a sudden; the warning is SLURM's own, which comes within a minute.
    state = slurm.job(job)
    elapsed = time.time() - time.mktime(time.strptime(state["StartTime"], "%Y-%m-%dT%H:%M:%S"))
    slurm("scontrol", "update", f"JobId={job}", f"TimeLimit={math.ceil(elapsed / 60) + 2}")
    slurm.during(job, lambda: slurm.job(job)["Restarts"] == "1", 200)
    slurm("scontrol", "update", f"JobId={job}", "TimeLimit=120")
    complete_before = {path: path.stat().st_mtime_ns for path in folder.glob("*/complete.json")}
    assert 1 <= len(complete_before) < n_trials
    done = slurm.ended(job, 900)
    output = (slurm.root / f"quickstart-{job}.out").read_text()
    assert (done["JobState"], done["ExitCode"], done["Restarts"]) == ("COMPLETED", "0:0", "1"), output
    assert "The time limit has interrupted the run. The job requeues itself." in output
    assert f"{n_trials} trials complete" in output
    # Each trial is complete once, with each epoch once; what was complete has not been touched.
    trials = [path.parent for path in folder.glob("*/complete.json")]
    assert len(trials) == len(load_experiment(QUICKSTART).configs()[:n_trials])
    assert [rows(trial) for trial in trials] == [list(range(1, n_epochs + 1))] * n_trials
    assert all(path.stat().st_mtime_ns == at for path, at in complete_before.items())
    assert processes_of(job) == []


@pytest.mark.faults
@pytest.mark.parametrize("n_nodes", [1, 2])
@pytest.mark.parametrize("politely", [["--batch", "--signal=TERM"], []], ids=["politely", "as most do it"])
def test_what_was_cancelled_does_not_come_back(slurm, n_nodes, politely):
    options = ["--set", "epochs=400", "--set", "batch_size=1", "--limit", "2"]
    asked = command(storage=str(slurm.root / "results"), options=options)
    job = slurm.submit(text(asked, nodes=n_nodes, cpus_per_node=2 // n_nodes))
    slurm.during(job, lambda: list((slurm.root / "results" / "quickstart").glob("*/result.json")), 200)
    slurm("scancel", *politely, job)
    done = slurm.ended(job, 100)
    assert (done["JobState"], done["Restarts"]) == ("FAILED" if politely else "CANCELLED", "0")
    wait(lambda: f"to resume, rerun:  sbatch {slurm.root}/job.sbatch" in slurm.output(job), 60)
    wait(lambda: processes_of(job) == [], 60)
    # Two nodes on one machine have one /tmp.
    wait(lambda: not list(slurm.root.glob("ray-*.log")) and folders_of(job) == [], 60)


def folders_of(job):
    """The temporary folders of a job."""
    return list(Path("/tmp").glob(f"dynsparse-{job}-*"))


def processes_of(job):
    """The processes that have a job's temporary folder on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(f"/tmp/dynsparse-{job}-".encode() in word for word in words):
            found.append(int(path.name))
    return found
