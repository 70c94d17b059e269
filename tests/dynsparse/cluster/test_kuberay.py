"""Files for Kubernetes and for `ray up`, against the schemas of KubeRay and Ray; and what is refused."""

import json
import re
import shlex
import subprocess
import uuid
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from dynsparse.cluster.kuberay import rayjob
from dynsparse.cluster.ray_up import cluster_config
from dynsparse.cluster.render import to_yaml
from dynsparse.cluster.run_command import ClusterFileError, RunCommand
from dynsparse.experiment import load_experiment

QUICKSTART = Path(__file__).parents[3] / "experiments" / "quickstart.py"
SUPPORT = Path(__file__).parents[2] / "support"
RAYJOB_SCHEMA = json.loads((SUPPORT / "cluster_files" / "rayjob.schema.json").read_text())
CLUSTER_SCHEMA = json.loads(Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_text())
HOSTILE = ["--set", "hidden_sizes=(300,100),(100,)", "--name", "a `b` $HOME {{image}} \\ 'c' \"d\" # é", "--limit", "2"]


def command(**changes):
    return RunCommand(**{"file": QUICKSTART, "name": "quickstart", "storage": "/results", **changes})


def job(asked=None, **changes):
    """The ConfigMap and the RayJob of a file."""
    options = {"image": "registry.example.com/dynsparse:1", "workers": 2, "cpus_per_node": 4, "memory_per_node": "8Gi"}
    asked = asked or command()
    claim = {} if "://" in asked.storage else {"claim": "results"}
    text = rayjob(asked, **{**options, **claim, **changes})
    assert "{{" not in text.replace("{{image}}", "")
    config_map, ray_job = yaml.safe_load_all(text)
    jsonschema.validate(ray_job, RAYJOB_SCHEMA)
    return config_map, ray_job


def pods(ray_job):
    """The pods' specs: of the head, and of a worker."""
    spec = ray_job["spec"]["rayClusterSpec"]
    [workers] = spec["workerGroupSpecs"]
    return spec["headGroupSpec"]["template"]["spec"], workers["template"]["spec"]


def test_a_rayjob_with_a_folder():
    config_map, ray_job = job()
    assert config_map["apiVersion"] == "v1" and config_map["kind"] == "ConfigMap"
    assert config_map["metadata"]["name"] == ray_job["metadata"]["name"] == "quickstart"
    spec = ray_job["spec"]
    assert spec["entrypoint"] == "bash /experiment/run.sh"
    assert spec["shutdownAfterJobFinishes"] is True and spec["ttlSecondsAfterFinished"] > 0
    assert spec["rayClusterSpec"]["rayVersion"] == version("ray") == ray.__version__
    assert spec["rayClusterSpec"]["enableInTreeAutoscaling"] is False
    assert spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    [workers] = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert (workers["replicas"], workers["minReplicas"], workers["maxReplicas"]) == (2, 2, 2)
    for pod in pods(ray_job):
        [container] = pod["containers"]
        assert container["image"] == "registry.example.com/dynsparse:1"
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        places = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        assert places["/experiment"]["configMap"] == {"name": "quickstart"}
        assert places["/results"]["persistentVolumeClaim"] == {"claimName": "results"}
        assert "envFrom" not in container
    resources = pods(ray_job)[1]["containers"][0]["resources"]
    assert resources["limits"] == resources["requests"] == {"cpu": "4", "memory": "8Gi"}


def test_a_rayjob_with_gpus_a_store_and_autoscaling():
    asked = command(storage="s3://bucket/x", devices=frozenset({"cuda"}), gpus_per_trial=0.5)
    _, ray_job = job(asked, gpus_per_node=2, max_workers=9, secret="aws")
    for pod in pods(ray_job):
        [container] = pod["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "aws"}}]
        assert [volume["name"] for volume in pod["volumes"]] == ["experiment"]
        assert [mount["name"] for mount in container["volumeMounts"]] == ["experiment"]
    assert pods(ray_job)[1]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in pods(ray_job)[0]["containers"][0]["resources"]["limits"]
    assert ray_job["spec"]["rayClusterSpec"]["enableInTreeAutoscaling"] is True
    [workers] = ray_job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert (workers["minReplicas"], workers["maxReplicas"]) == (2, 9)


def test_the_schema_refuses_what_kubectl_refuses():
    _, ray_job = job()
    ray_job["spec"]["ttlSecondsAfterFinish"] = 3
    with pytest.raises(jsonschema.ValidationError, match="ttlSecondsAfterFinish"):
        jsonschema.validate(ray_job, RAYJOB_SCHEMA)


def test_the_experiment_travels_with_what_it_imports(tmp_path):
    # Another name each time: Python imports one but once.
    package, module = (f"{kind}_{uuid.uuid4().hex}" for kind in ("package", "module"))
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / "values_é.py").write_text(f"import {module}\n", encoding="utf-8")
    (tmp_path / f"{module}.py").write_text("DENSITIES = [0.1, 0.2]\n")
    (tmp_path / "another.py").write_text("raise SystemExit\n")
    file = tmp_path / "mine's 𝕏; $(one).py"
    file.write_text(f"import {package}.values_é  # é\n" + QUICKSTART.read_text(), encoding="utf-8")
    load_experiment(file)
    config_map, ray_job = job(command(file=file))
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in config_map["data"]), "as Kubernetes has it"
    # As Kubernetes writes them into each pod.
    written = {}
    for pod in pods(ray_job):
        [volume] = [volume for volume in pod["volumes"] if volume["name"] == "experiment"]
        written = {each["path"]: config_map["data"][each["key"]] for each in volume["configMap"]["items"]}
        there = {path.relative_to(tmp_path).as_posix(): path.read_text("utf-8") for path in tmp_path.rglob("*.py")}
        del there["another.py"]
        assert {path: text for path, text in written.items() if path != "run.sh"} == there
    assert shlex.split(written["run.sh"])[3] == f"/experiment/{file.name}"


def test_a_configmap_has_the_experiment_as_it_is():
    config_map, ray_job = job()
    assert config_map["data"]["quickstart.py"] == QUICKSTART.read_text()
    assert pods(ray_job)[0]["volumes"][0]["configMap"] == {"name": "quickstart"}


@pytest.mark.parametrize(
    "text",
    ["a\n", "a", "", "\n", "a\n\n", " a\n  b\n", "\ta\n", "a\tb \n", "a\r\nb\n", "a\x85b\n", "a\u2028b\n", "é # :\n",
     "𝕏\n", "a\n\n  b\n\nc\n", "\ufeffa\n", "'\"{{x}}\n", "---\n", "# a\n", "\n a\n"],
)  # fmt: skip
def test_a_text_is_the_same_in_yaml(text):
    document = {"data": {"key": text, "last": 1}}
    assert yaml.safe_load(to_yaml(document)) == document


@pytest.mark.parametrize("text", ["y", "n", "on", "null", "1e3", "0o7", "12:30", "+1", ".5", "~", "", "2001-01-01"])
def test_a_text_is_quoted_where_some_reader_of_yaml_takes_it_for_something_else(text):
    """Go's reader, which kubectl uses, knows more booleans and numbers than PyYAML."""
    assert to_yaml({"key": text}).rstrip() in (f'key: "{text}"', f"key: '{text}'")


def test_hostile_words_reach_the_run_as_they_are(tmp_path):
    config_map, ray_job = job(command(options=HOSTILE, storage="/my results", name="on"))
    assert ray_job["metadata"]["name"] == "on"
    script = 'dynsparse() { printf "%s\\0" "$@"; }\n' + config_map["data"]["run.sh"].removeprefix("exec ")
    told = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    path = f"/experiment/{QUICKSTART.name}"
    assert told.split("\0")[:-1] == ["run", path, "--storage", "/my results", *HOSTILE, "--address", "auto"]
    # The entrypoint comes through KubeRay's shell, Python's list2cmdline and Ray's shell as it is.
    entrypoint = ray_job["spec"]["entrypoint"]
    assert subprocess.list2cmdline(shlex.split(entrypoint)) == entrypoint


@pytest.mark.parametrize(
    "asked, changes, said",
    [
        ({}, dict(max_workers=1), r"--max-workers must be at least --workers \(2\), got 1"),
        ({}, dict(gpus_per_node=1), "device='cpu'"),
        ({}, dict(image=""), "--image must be the name of a container image, got ''"),
        ({}, dict(image='a" b'), "--image must be"),
        ({}, dict(memory_per_node="8 GB"), "--memory-per-node must be"),
        ({}, dict(claim=None), "Give --claim"),
        ({}, dict(claim="My Claim"), "must be a name in Kubernetes"),
        (dict(storage="s3://b/x"), dict(claim="results"), "--claim is only for a storage that is a folder"),
        (dict(storage="s3://b/x"), dict(secret="a: b"), "must be a name in Kubernetes"),
        (dict(cpus_per_trial=5), {}, "A trial needs 5 CPUs, and a node has 4"),
    ],
)
def test_bad_input_is_refused(asked, changes, said):
    with pytest.raises(ClusterFileError, match=said):
        job(command(**asked), **changes)


def test_a_file_that_is_too_large_is_refused(tmp_path):
    file = tmp_path / "large.py"
    file.write_text(f"x = '{'a' * 1_000_000}'\n")
    with pytest.raises(ClusterFileError, match=r"must not exceed 1 MB, got 1\.0 MB in large\.py"):
        job(command(file=file))


def a_cluster(asked=None, **changes):
    aws = dict(region="us-west-2", head_type="m5.xlarge", worker_type="m5.2xlarge", instance_profile="mine")
    text = cluster_config(asked or command(storage="s3://bucket/x"), **{"workers": 1, **aws, **changes})
    config = yaml.safe_load(text)
    jsonschema.validate(config, CLUSTER_SCHEMA)
    # And as Ray reads it, with its own defaults filled in.
    validate_config(prepare_config(config))
    return text, config


def test_a_cluster_of_spot_instances():
    text, config = a_cluster(workers=2, max_workers=5)
    assert "{{" not in text
    assert config["max_workers"] == 5 and config["idle_timeout_minutes"] > 0
    types = config["available_node_types"]
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    assert types["workers"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert (types["workers"]["min_workers"], types["workers"]["max_workers"]) == (2, 5)
    # A job brings dynsparse, in the version that is here.
    [install] = map(shlex.split, config["setup_commands"])
    assert install[:2] == ["pip", "install"] and not any("dynsparse" in each for each in install)
    assert {"torch", "pandas", "numpy"} <= {re.match(r"\w+", each)[0] for each in install[2:]}
    assert config["docker"]["image"] == f"rayproject/ray:{ray.__version__}-py311"


def test_a_cluster_with_gpus():
    asked = command(storage="s3://b/x", devices=frozenset({"cuda"}), gpus_per_trial=1)
    _, config = a_cluster(
        asked, gpus_per_node=1, worker_type="g5.xlarge", package="git+https://example.com/a.git; rm x"
    )
    assert config["docker"]["image"].endswith("-py311-gpu")
    assert shlex.split(config["setup_commands"][0]) == ["pip", "install", "git+https://example.com/a.git; rm x"]


def test_a_cluster_says_how_to_send_the_run_there():
    text, _ = a_cluster(command(storage="s3://bucket/x", options=HOSTILE))
    [line] = [line for line in text.splitlines() if line.startswith("#   dynsparse submit")]
    words = shlex.split(line.removeprefix("#"))
    address = ["--address", "http://127.0.0.1:8265"]
    assert words == ["dynsparse", "submit", str(QUICKSTART), *address, "--storage", "s3://bucket/x", *HOSTILE]


@pytest.mark.parametrize(
    "asked, changes, said",
    [
        (dict(storage="/results"), {}, "machines of a cloud do not share one"),
        ({}, dict(workers=3, max_workers=2), "--max-workers"),
        ({}, dict(region="us west"), "--region must be a name in AWS .*, got 'us west'"),
        ({}, dict(gpus_per_node=1), "device='cpu'"),
    ],
)
def test_bad_input_for_a_cluster_is_refused(asked, changes, said):
    with pytest.raises(ClusterFileError, match=said):
        a_cluster(command(**{"storage": "s3://b/x", **asked}), **changes)


def test_a_rayjob_has_no_data_files():
    with pytest.raises(
        ClusterFileError, match=r"contains no data, and the pods would not find 't\.csv'\. Put the data into"
    ):
        job(command(data_files=["t.csv"]))
