"""`dynsparse cluster-file`: the files that it prints, and what it refuses. No cluster."""

import shlex
import socket
import subprocess

import pytest
import yaml
from click.testing import CliRunner

from dynsparse.cli import main, outcome, trials

FILE = """
from ray import tune
from dynsparse.experiment import Experiment

print("this is printed by the experiment file")
experiment = Experiment(
    name="first",
    question="How sparse can it get?",
    space=dict(dataset_name="digits", hidden_sizes=[20], on_perc=tune.grid_search([0.05, 0.1])),
    epochs=2,
    cpus_per_trial=2,
)
"""
SLURM = ["slurm", "--storage", "/shared/results"]
KUBERAY = ["kuberay", "--image", "registry.example.com/dynsparse:1", "--claim", "results", "--storage", "/results"]
RAY_UP = ["ray-up", "--storage", "s3://bucket/results"]
FORMS = pytest.mark.parametrize("form", [SLURM, KUBERAY, RAY_UP], ids=["slurm", "kuberay", "ray_up"])
# Words that shells, SLURM and YAML would each like to read otherwise.
DATA = "/d $(touch x) `touch y` \"a\" 'b' \\ #c: {{name}}"
NAME = 'it\'s "mine" $HOME # é ! {{name}}'
HOSTILE = ["--set", "hidden_sizes=(300,100),(100,)", "--set", f"data_dir={DATA}", "--name", NAME, "--limit", "2"]


@pytest.fixture
def file(tmp_path):
    """The path of an experiment file."""
    path = tmp_path / "first.py"
    path.write_text(FILE)
    return path


def submit(file, *words):
    return CliRunner().invoke(main, ["submit", str(file), *map(str, words)])


def cluster_file(file, system, *words):
    return CliRunner().invoke(main, ["cluster-file", system, str(file), *map(str, words)])


def printed(file, *words):
    """Return the text of a file. Nothing else is printed, except by the experiment file."""
    result = cluster_file(file, *words)
    assert result.exit_code == 0, result.output
    assert result.stderr == "this is printed by the experiment file\n"
    assert "this is printed by the experiment file" not in result.stdout.splitlines()
    return result.stdout


def message(result):
    """Return the message of a command that is refused, and prints nothing else."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr


def refused(file, *words):
    """Return the message of `cluster-file` when it refuses to print a file."""
    return message(cluster_file(file, *words))


def received(script, folder):
    """Return the words that a script of bash passes to `dynsparse`."""
    tell = 'dynsparse() { printf "%s\\0" "$@"; }\n'
    ran = subprocess.run(["bash"], input=tell + script, capture_output=True, text=True, check=True, cwd=folder)
    return ran.stdout.split("\0")[:-1]


def directives(text):
    """Return the options that sbatch reads: ["--nodes=2", ...]."""
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]


def shown(text):
    """Return the words of the `dynsparse submit` that the header of a cluster file shows."""
    [line] = [line for line in text.splitlines() if line.startswith("#   dynsparse submit")]
    return shlex.split(line.removeprefix("#"))


def nowhere():
    """Return an address at which nothing answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


# What is printed


def test_a_file_for_sbatch_by_default(file):
    text = printed(file, *SLURM)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert text.startswith("#!/bin/bash\n") and text.endswith('exit "$code"\n')
    asked = directives(text)
    assert {"--job-name=first", "--nodes=1", "--cpus-per-task=4", "--time=12:00:00"} <= set(asked)
    assert not [each for each in asked if each.startswith(("--partition", "--gpus"))]


def test_a_file_for_sbatch_with_every_option(file):
    words = ["--nodes", 3, "--cpus-per-node", 32, "--gpus-per-node", 2, "--time", "2-00", "--partition", "gpu"]
    more = ["--sbatch", "--account=mine", "--sbatch=--mem=0", "--environment", "module load x\nconda activate 'y'"]
    text = printed(file, *SLURM, *words, *more, "--set", "device=cuda", "--gpus-per-trial", 0.5)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    asked = {"--nodes=3", "--cpus-per-task=32", "--gpus-per-node=2", "--time=2-00", "--partition=gpu"}
    assert asked | {"--account=mine", "--mem=0"} <= set(directives(text))
    assert "\nmodule load x\nconda activate 'y'\n" in text
    assert "--gpus-per-trial 0.5)" in text


def test_a_rayjob_by_default_and_with_every_option(file):
    config_map, job = yaml.safe_load_all(printed(file, *KUBERAY))
    assert config_map["data"]["first.py"] == FILE
    [workers] = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert (workers["minReplicas"], workers["maxReplicas"]) == (1, 1)
    [container] = workers["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "4", "memory": "8Gi"}

    words = ["--workers", 2, "--max-workers", 5, "--cpus-per-node", 6, "--gpus-per-node", 1, "--memory-per-node", "9Gi"]
    storage = ["kuberay", "--image", "a/b:1", "--storage", "s3://bucket/x", "--secret", "aws"]
    text = printed(file, *storage, *words, "--set", "device=cuda", "--gpus-per-trial", 1)
    _, job = yaml.safe_load_all(text)
    [workers] = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert (workers["minReplicas"], workers["maxReplicas"]) == (2, 5)
    [container] = workers["template"]["spec"]["containers"]
    assert container["image"] == "a/b:1" and container["envFrom"] == [{"secretRef": {"name": "aws"}}]
    assert container["resources"]["limits"] == {"cpu": "6", "memory": "9Gi", "nvidia.com/gpu": "1"}


def test_a_cluster_by_default_and_with_every_option(file):
    config = yaml.safe_load(printed(file, *RAY_UP))
    workers = config["available_node_types"]["workers"]
    assert (workers["min_workers"], workers["max_workers"], config["max_workers"]) == (1, 8, 8)
    # Who asks for more than that need not say it twice.
    config = yaml.safe_load(printed(file, *RAY_UP, "--workers", 10))
    assert config["available_node_types"]["workers"]["max_workers"] == 10

    words = ["--workers", 2, "--max-workers", 3, "--region", "eu-west-1", "--head-type", "a.b", "--worker-type", "c.d"]
    words += ["--instance-profile", "mine", "--package", "git+https://example.com/x.git; rm y", "--gpus-per-node", 1]
    config = yaml.safe_load(printed(file, *RAY_UP, *words, "--set", "device=cuda", "--gpus-per-trial", 1))
    head, workers = config["available_node_types"]["head"], config["available_node_types"]["workers"]
    assert (workers["min_workers"], workers["max_workers"]) == (2, 3)
    assert config["provider"]["region"] == "eu-west-1"
    assert (head["node_config"]["InstanceType"], workers["node_config"]["InstanceType"]) == ("a.b", "c.d")
    assert workers["node_config"]["IamInstanceProfile"] == {"Name": "mine"}
    assert [shlex.split(each) for each in config["setup_commands"]] == [
        ["pip", "install", "git+https://example.com/x.git; rm y"]
    ]


def test_hostile_words_reach_the_run_as_they_are(tmp_path):
    file = tmp_path / 'it\'s $(touch x) "mine"; #.py'
    file.write_text(FILE)
    text = printed(file, "slurm", "--storage", "/shared/my $(results)", *HOSTILE)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    [line] = [line for line in text.splitlines() if line.startswith("run=(")]
    told = received(f'{line}\n"${{run[@]}}"\n', tmp_path)
    assert told == ["run", str(file), "--storage", "/shared/my $(results)", *HOSTILE]

    text = printed(file, *KUBERAY[:-2], "--storage", "/my $(results)", *HOSTILE)
    config_map, _ = yaml.safe_load_all(text)
    told = received(config_map["data"]["run.sh"].removeprefix("exec "), tmp_path)
    there = f"/experiment/{file.name}"
    assert told == ["run", there, "--storage", "/my $(results)", *HOSTILE, "--address", "auto"]

    text = printed(file, "ray-up", "--storage", "s3://bucket/$(x)", *HOSTILE)
    yaml.safe_load(text)
    assert shown(text)[:3] == ["dynsparse", "submit", str(file)]
    assert shown(text)[-len(HOSTILE) - 2 :] == ["--storage", "s3://bucket/$(x)", *HOSTILE]
    assert [path.name for path in tmp_path.iterdir()] == [file.name]

    # And `run` makes of the words what they say.
    context = trials.run.make_context("run", told[1:])
    assert dict(context.params["settings"]) == {"hidden_sizes": [(300, 100), (100,)], "data_dir": [DATA]}
    assert (context.params["name"], context.params["limit"], context.params["address"]) == (NAME, 2, "auto")


def test_the_submit_that_a_clusters_file_tells_to_type_is_one(file):
    text = printed(file, *RAY_UP, "--set", "seed=0,1", "--limit", 3)
    _, *words = [nowhere() if word == "http://127.0.0.1:8265" else word for word in shown(text)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and "No cluster answers at" in result.stderr


def test_a_relative_storage_that_is_shared(file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert "got the relative path 'results'" in refused(file, "slurm", "--storage", "results")
    assert f"--storage {tmp_path}/results)" in printed(file, "slurm", "--storage", "results", "--shared")
    assert "add --shared" in message(submit(file, "--storage", "results"))
    assert "No cluster answers" in message(submit(file, "--storage", "results", "--shared", "--address", nowhere()))


# What is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*KUBERAY, "--partition", "a"], "No such option"),
        ([*RAY_UP, "--cpus-per-node", 3], "No such option"),
        ([*SLURM, "--workers", 3], "No such option"),
        ([*RAY_UP, "--claim", "a"], "No such option"),
        ([*SLURM, "--region", "us-west-2"], "No such option"),
        ([*SLURM, "--no-follow"], "No such option"),
        ([*RAY_UP, "--address", "http://x"], "No such option"),
        (["slurm"], "Missing option '--storage'"),
        (["kuberay", "--storage", "s3://b/x"], "Missing option '--image'"),
        (["kuberay", "--image", "a", "--storage", "/x"], "Give --claim"),
        (["ray-up", "--storage", "/x"], "machines of a cloud do not share one"),
        ([*SLURM, "--time", "12h"], "--time must be a time limit of sbatch above zero"),
        ([*SLURM, "--sbatch", "account=x"], "An option of sbatch must be --NAME or --NAME=VALUE"),
        ([*SLURM, "--nodes", 0], "'--nodes': 0 is not in the range x>=1"),
        ([*SLURM, "--cpus-per-node", 0], "'--cpus-per-node': 0 is not in the range x>=1"),
        ([*SLURM, "--gpus-per-node", -1], "'--gpus-per-node': -1 is not in the range x>=0"),
        ([*KUBERAY, "--workers", 0], "'--workers': 0 is not in the range x>=1"),
        ([*SLURM, "--cpus-per-node", 1], "A trial needs 2 CPUs, and a node has 1"),
        ([*SLURM, "--cpus-per-trial", 5], "A trial needs 5 CPUs, and a node has 4"),
    ],
)
def test_what_does_not_belong_or_does_not_work(file, words, said):
    assert said in refused(file, *words)


@FORMS
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "on_prec=0.1"], "Unknown key 'on_prec'. Did you mean 'on_perc'?"),
        (["--set", "data_dir=sets"], "data_dir must be an absolute path or a URL on a cluster, got 'sets'"),
        (["--mlflow", "sqlite:///mlflow.db"], "--mlflow must be the URL of a server on a cluster"),
        (["--set", "hidden_sizes=(20,10),"], "has an empty value before or after a comma"),
        (["--set", "device=cuda", "--pack", "off"], "Give --gpus-per-trial"),
        (["--gpus-per-node", 1], "device='cpu'"),
        (["--name", "a/b"], "name must be a valid folder name"),
        (["--fresh"], "give another --name"),
        (["--name", "a\nb"], "line break"),
    ],
)
def test_what_is_refused_for_every_file(file, form, words, said):
    assert said in refused(file, *form, *words)


@FORMS
def test_a_file_that_is_not_there(tmp_path, form):
    assert "no.py' does not exist" in refused(tmp_path / "no.py", *form)


# The options


def test_the_address_that_the_environment_gives_is_not_one_that_was_typed(file, monkeypatch):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://192.0.2.1:8265")
    printed(file, *SLURM)


def test_the_help_shows_own_options_first_and_those_of_run_below():
    text = CliRunner().invoke(main, ["cluster-file", "slurm", "--help"]).stdout
    own, run = text.split("As for run:")
    assert "--partition" in own and "--shared" in own and "--limit" not in own
    assert "--limit" in run and "--storage" not in run and "--address" not in text


@pytest.mark.parametrize("system", ["slurm", "kuberay", "ray-up"])
def test_submit_names_the_command_that_replaces_an_old_flag(file, system):
    said = message(submit(file, "--storage", "/shared/my results", f"--{system}", "--nodes", 4))
    new = f"dynsparse cluster-file {system}"
    assert said == (
        f"Error: submit sends a job and has no option --{system}. To print a file, use {new} FILE; "
        f"{new} --help lists its options.\n"
    )


def test_a_run_in_a_job_tells_what_its_sender_types(monkeypatch):
    monkeypatch.setattr("sys.argv", ["dynsparse", "run", "experiment/first.py", "--fresh", "--address", "auto"])
    assert outcome.resume_command("experiment/first.py") == "dynsparse run experiment/first.py --address auto"
    monkeypatch.setenv(outcome.RERUN_COMMAND, "dynsparse submit first.py --storage /shared")
    assert outcome.resume_command("experiment/first.py") == "dynsparse submit first.py --storage /shared"


@pytest.mark.parametrize("option", ["--cpus-per-trial", "--gpus-per-trial", "--epoch-seconds", "--trial-seconds"])
@pytest.mark.parametrize("number", ["nan", "inf"])
def test_an_option_that_run_would_refuse_on_the_cluster_is_refused_here(file, option, number):
    name = option.strip("-").replace("-", "_")
    assert f"{name} must be a number" in refused(file, *SLURM, option, number)
