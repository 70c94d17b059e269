"""Experiments sent to a real Ray cluster on this machine as jobs; and what is refused before anything is sent."""

import configparser
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from importlib.metadata import version as distribution_version
from pathlib import Path

import pytest
from click.testing import CliRunner
from ray.job_submission import JobDetails, JobStatus, JobType
from support.ray_cluster import RayCluster, free_port

import analysis
from dynsparse.cli import main
from dynsparse.cluster import packaging as staging
from dynsparse.cluster.jobs import rerun_command
from dynsparse.experiment import load_experiment
from dynsparse.results.grid_status import version

FILE = """
from beside.seeds import SEEDS
from ray import tune
from dynsparse.experiment import Experiment

experiment = Experiment(
    name="sent",
    question="Does it arrive?",
    space=dict(dataset_name="digits", hidden_sizes=[20], batch_size=64, seed=tune.grid_search(SEEDS)),
    epochs=2,
)
"""


@pytest.fixture(scope="module")
def cluster():
    """A head and two nodes of one CPU, for the module."""
    cluster = RayCluster(n_nodes=2)
    yield cluster
    cluster.end()


@pytest.fixture
def file(tmp_path):
    """An experiment file that imports a package beside it, which imports a module beside it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    # Another name each time: Python imports one but once.
    package, module = (f"{kind}_{uuid.uuid4().hex}" for kind in ("package", "module"))
    (folder / package).mkdir()
    (folder / package / "__init__.py").touch()
    (folder / package / "seeds.py").write_text(f"import importlib\nSEEDS = importlib.import_module('{module}').ALL\n")
    (folder / f"{module}.py").write_text("ALL = [0, 1, 2]\n")
    (folder / "sent.py").write_text(FILE.replace("beside", package))
    return folder / "sent.py"


def command(cluster, *arguments, **environment):
    """A command of dynsparse as a process, as who uses the cluster types it."""
    return subprocess.Popen(
        [sys.executable, "-m", "dynsparse.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            # `run` takes it for the address of a cluster, and Ray's client would prefer it to any other.
            "RAY_ADDRESS": "192.0.2.1:6379",
            "RAY_API_SERVER_ADDRESS": cluster.address,
            **cluster.environment,
            **environment,
        },
    )


def typed(cluster, *arguments, **environment):
    """Exit code, output and messages of a command."""
    process = command(cluster, *arguments, **environment)
    output, messages = process.communicate(timeout=600)
    return process.returncode, output, messages


def refused(*arguments):
    """The message of a command that is refused."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 2, result.output
    return result.output


# Refused here


def test_what_cannot_be_run_is_not_sent(file, tmp_path):
    """There is no cluster at that address, and nobody asks for it."""
    to = ["--address", f"http://127.0.0.1:{free_port()}", "--storage", tmp_path / "results"]
    for words, message in [
        (["--set", "densty=0.1"], "Unknown key 'densty'"),
        (["--set", "density"], "must be KEY=VALUE"),
        (["--env", "NO_SUCH"], "--env needs the name of an environment variable that is set, got NO_SUCH."),
        (["--set", "data_dir=sets"], "data_dir must be an absolute path or a URL on a cluster, got 'sets'."),
        (["--name", "a/b"], "name must be a valid folder name"),
    ]:
        assert message in refused("submit", file, *words, *to)
    assert "no.py' does not exist" in refused("submit", tmp_path / "no.py", *to)
    message = refused("submit", file, "--storage", "results")
    assert "--storage must be an absolute path" in message and "got the relative path 'results'" in message
    assert not (tmp_path / "results").exists()


def test_nobody_answers(file, tmp_path):
    address = f"http://127.0.0.1:{free_port()}"
    message = refused("submit", file, "--address", address, "--storage", tmp_path)
    assert f"No cluster answers at {address}" in message and "ray start --head prints" in message
    assert f"No cluster answers at {address}" in refused("jobs", "--address", address)
    assert "--address must be the URL of the cluster's dashboard" in refused(
        "jobs", "--address", "ray://127.0.0.1:10001"
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<html>a page of somebody else</html>", "must be the URL of Ray's dashboard"),
        (b'{"some": "thing"}', "must be the URL of Ray's dashboard"),
        (b'{"ray_version": "2.9.3"}', "must run Ray 2.52 or later, got Ray 2.9.3"),
    ],
)
def test_something_else_answers(answer, message):
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # the name that http.server calls
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert message in refused("jobs", "--address", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_without_rays_dashboard_installed():
    code = "import sys; sys.modules['aiohttp'] = None; from dynsparse.cli import main; main(['jobs'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert "aiohttp is not installed. Install it: pip install 'dynsparse[cluster]'." in result.stderr


# What is sent


def test_the_file_is_sent_with_what_it_imports_from_beside_it_and_nothing_else(file, tmp_path):
    load_experiment(file)
    needed = sorted(path.relative_to(file.parent) for path in file.parent.rglob("*.py"))
    assert len(needed) == 4
    others = ("data.npz", "notes.ipynb", ".git/config", "results/sent/trial_1/params.json", "other.py", "sub/module.py")
    for name in others:
        (file.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (file.parent / name).write_text("{}")
    assert staging.stage_experiment(file, tmp_path / "target") == "experiment/sent.py"
    sent = [path for path in (tmp_path / "target").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(tmp_path / "target" / "experiment") for path in sent) == needed


def test_neither_dynsparse_nor_an_environment_goes_with_a_file_that_stands_above_them(tmp_path):
    """As it does where the file is in a checkout of dynsparse, and the environment too."""
    environment = tmp_path / "env" / "site-packages"
    environment.mkdir(parents=True)
    installed = f"installed_{uuid.uuid4().hex}"
    (environment / f"{installed}.py").touch()
    (tmp_path / "analysis.py").write_text("SEEDS = [0]\n")
    code = (
        f"import sys; sys.path.insert(0, {str(environment)!r}); import {installed}, dynsparse.experiment\n"
        "from dynsparse.cluster.packaging import imported; from pathlib import Path\n"
        f"sys.path.insert(0, {str(tmp_path)!r}); import analysis\n"
        f"print([str(each) for each in imported(Path({str(tmp_path)!r}, 'first.py'))])\n"
        f"print([str(each) for each in imported(Path({str(staging.PACKAGES[0].parent)!r}, 'first.py'))])\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # The analysis.py is the user's own.
    assert told.stdout.splitlines() == [str([str(tmp_path / "analysis.py")]), "[]"]


def test_files_that_are_too_large_are_named(file, tmp_path):
    load_experiment(file)
    module = next(file.parent.glob("module_*.py"))
    module.write_text("#" * 60_000_000)
    said = f"must not exceed 50 MB, got 60 MB. The largest: {module.name} \\(60.0"
    with pytest.raises(staging.StagingError, match=said):
        staging.stage_experiment(file, tmp_path)


def test_the_package_is_this_one_and_tells_its_version_where_it_is_not_installed(tmp_path):
    modules = [Path(each) for each in staging.stage_package(tmp_path)]
    assert modules[:2] == [Path(analysis.__file__).parents[1] / name for name in ("dynsparse", "analysis")]
    code = (
        f"import sys; sys.path = [{str(tmp_path)!r}] + [p for p in sys.path if 'site-packages' not in p]\n"
        "from importlib.metadata import version; print(version('dynsparse'))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert told.stdout.strip() == distribution_version("dynsparse")


def test_pip_gets_what_setup_cfg_says():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[3] / "setup.cfg")
    wanted = setup["options"]["install_requires"].split()
    assert sorted(each.replace(" ", "") for each in staging.requirements()) == sorted(wanted)


def test_the_command_that_resumes_a_job_is_in_its_metadata():
    """Version 0.1.0 wrote it under another key."""
    about = dict(type=JobType.SUBMISSION, status=JobStatus.STOPPED, entrypoint="")
    for key in ("dynsparse_rerun_command", "dynsparse_again"):
        assert rerun_command(JobDetails(**about, metadata={key: "dynsparse submit x.py"})) == "dynsparse submit x.py"
    assert rerun_command(JobDetails(**about, metadata=None)) is None


# A cluster


@pytest.mark.ray
@pytest.mark.faults
def test_an_experiment_is_sent_followed_and_complete(cluster, file, tmp_path):
    options = [
        "--set",
        "seed=0,3",
        "--set",
        "hidden_sizes=(20,10)",
        "--storage",
        tmp_path / "results",
        "--name",
        "two",
    ]
    code, output, messages = typed(cluster, "submit", file, *options, "--max-failures", "1")
    assert code == 0, output + messages
    assert f"sent to {cluster.address} as the job raysubmit_" in messages
    assert "2 trials: 2 to run" in output and "2 trials complete" in output
    assert output.count("Running entrypoint") == 1 and "--max-failures 1" in output
    df = analysis.load(tmp_path / "results" / "two")
    assert list(df["status"]) == ["complete"] * 2 and sorted(df["seed"]) == [0, 3]
    # The head had no CPU to train on; the nodes and the head had the version of this checkout.
    about = [json.loads(path.read_text()) for path in (tmp_path / "results" / "two").glob("trial_*/about.json")]
    assert {each["version"] for each in about} == {version()}


@pytest.mark.ray
@pytest.mark.faults
def test_data_files_of_the_folder_are_sent(cluster, file, tmp_path):
    rows = "".join(f"{i % 7},{i % 5},{'xy'[i % 2]}\n" for i in range(60))
    (file.parent / "t.csv").write_text(f"a,b,class\n{rows}")
    own = 'dataset_name="t.csv", target="class", test_fraction=0.2'
    file.write_text(file.read_text().replace('dataset_name="digits"', own))
    code, output, messages = typed(cluster, "submit", file, "--storage", tmp_path / "results", "--set", "batch_size=8")
    assert code == 0, output + messages
    df = analysis.load(tmp_path / "results" / "sent")
    assert df["status"].tolist() == ["complete"] * 3 and set(df["dataset_name"]) == {"t.csv"}
    folders = {json.loads(path.read_text())["data_dir"] for path in (tmp_path / "results").glob("sent/*/params.json")}
    assert str(file.parent) not in folders


@pytest.mark.ray
@pytest.mark.faults
def test_a_job_that_brings_what_dynsparse_needs(cluster, file, tmp_path):
    """All of it is there; pip looks all the same, in an environment of its own on each node that trains."""
    code, output, messages = typed(cluster, "submit", file, "--pip", "--limit", 1, "--storage", tmp_path / "results")
    assert code == 0 and "1 trial complete" in output, output + messages
    assert "Each node first installs the packages that it lacks" in messages
    assert list(cluster.folder.glob("*/session_*/runtime_resources/pip/*/virtualenv/bin/python"))


@pytest.mark.ray
@pytest.mark.faults
def test_a_job_is_listed_stopped_and_goes_on(cluster, file, tmp_path):
    results = tmp_path / "results" / "sent"
    with file.open("a") as text:
        # This sequence would set the title of a terminal.
        text.write('print("\\x1b]0;obeyed\\x07the file was read")\n')
    endless = ["--set", "seed=0,1", "--set", "epochs=3000"]
    options = [*endless, "--checkpoint-epochs", "1", "--storage", tmp_path / "results"]
    job = sent(cluster, file, options)
    wait_for(lambda: n_rows(results) > 0)

    code, listed, _ = typed(cluster, "jobs")
    assert code == 0 and re.search(rf"{job} +{results} +running +20", listed), listed
    code, output, messages = typed(cluster, "submit", file, *options)
    assert code == 2 and f"the job {job} is running there. Follow it (dynsparse logs {job} --follow)" in messages, (
        messages
    )
    assert typed(cluster, "jobs")[1] == listed, "nothing was sent"
    following = command(cluster, "logs", job, "--follow")
    told = ""
    while "Running entrypoint" not in told:
        told += following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, messages = following.communicate(timeout=60)
    assert following.returncode == 130 and f"The job {job} is still running." in messages

    code, output, messages = typed(cluster, "stop", job)
    assert code == 0 and f"{job} has ended: stopped" in messages, output + messages
    assert f"stopped; to resume, rerun:  dynsparse submit {file} --address" in output
    assert f"to resume, rerun:  dynsparse submit {file} --address" in messages
    assert typed(cluster, "stop", job)[:2] == (0, f"{job} has already ended: stopped\n")
    assert typed(cluster, "logs", job, "--follow")[0] == 143

    before = n_rows(results)
    job = sent(cluster, file, options)
    wait_for(lambda: n_rows(results) > before)
    assert typed(cluster, "stop", job)[0] == 0
    _, output, _ = typed(cluster, "logs", job)
    assert "2 to resume" in output
    assert "the file was read" in output and "obeyed" not in output and "\x1b" not in output
    for path in results.glob("trial_*/result.json"):
        epochs = [json.loads(line)["training_iteration"] for line in path.read_text().splitlines()]
        assert epochs == list(range(1, len(epochs) + 1))


@pytest.mark.ray
@pytest.mark.faults
def test_a_job_that_is_refused_on_the_head_ends_as_run_does(cluster, file, tmp_path):
    (tmp_path / "full").touch()
    code, output, _ = typed(cluster, "submit", file, "--storage", tmp_path / "full")
    assert code == 2 and f"The storage {tmp_path}/full/sent cannot be" in output and "Traceback" not in output


@pytest.mark.ray
@pytest.mark.faults
def test_another_token_and_none(cluster, file, tmp_path):
    said = "does not accept the token"
    for environment in [{"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"}]:
        code, _, messages = typed(cluster, "submit", file, "--storage", tmp_path / "results", **environment)
        assert code == 2 and said in messages and "RAY_AUTH_MODE=token" in messages, messages
        assert "Traceback" not in messages
    nowhere = {"RAY_AUTH_TOKEN": "", "HOME": str(tmp_path)}
    code, _, messages = typed(cluster, "jobs", **nowhere)
    assert code == 2 and "RAY_AUTH_MODE=token" in messages and "Traceback" not in messages, messages


@pytest.mark.ray
@pytest.mark.faults
def test_a_job_that_nobody_has_sent(cluster):
    for words in [("logs", "raysubmit_no"), ("stop", "raysubmit_no"), ("logs", "raysubmit_no", "--follow")]:
        code, _, messages = typed(cluster, *words)
        assert code == 2 and f"The cluster at {cluster.address} has no job 'raysubmit_no'" in messages


def sent(cluster, file, options):
    """The id of a job that nobody follows."""
    code, _, messages = typed(cluster, "submit", file, "--no-follow", *options)
    assert code == 0, messages
    [job] = re.findall("as the job (raysubmit_[A-Za-z0-9]+)", messages)
    assert f"dynsparse stop {job} --address {cluster.address}" in messages
    return job


def n_rows(folder):
    return sum(len(path.read_bytes().splitlines()) for path in folder.glob("trial_*/result.json"))


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
