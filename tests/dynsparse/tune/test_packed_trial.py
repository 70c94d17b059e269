"""Packs in the trainable: each trial has its own folder, rows, checkpoints and end, whatever its neighbours do."""

import errno
import gc
import json
import math
import os
import shutil
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from ray.tune import Callback
from support.packed_trials import FATES, LEGACY, SMALL, assert_as_alone, begin, folder_of, pack_config

from dynsparse.cli import main
from dynsparse.config import Config
from dynsparse.experiment import Experiment, ExperimentError, axes
from dynsparse.io.storage import open_folder
from dynsparse.methods import METHODS
from dynsparse.results import checkpoints
from dynsparse.results.trial_folder import State, TrialFolder, folder_name, identity
from dynsparse.tune.driver import _begin
from dynsparse.tune.options import RunOptions
from dynsparse.tune.pack_size import even_pack_size, gpus_per_pack, largest_pack
from dynsparse.tune.packed_trial import WorkerOptions
from dynsparse.tune.reports import PackReport
from dynsparse.tune.trainable import SparseTrial

pytestmark = [pytest.mark.usefixtures("one_thread")]


def grid(*trials, **values):
    return [Config.of({**SMALL, **values, **trial}) for trial in trials]


def five(**values):
    return grid(
        *(dict(seed=seed, learning_rate=rate) for seed in (0, 1) for rate in (0.1, 0.05)), dict(seed=2), **values
    )


def legacy():
    return [Config.of(dict(LEGACY, on_perc=on_perc, weight_prune_perc=share)) for on_perc, share in FATES]


def pack_of(path, configs, indices=None, **options):
    """The trainable of a run with one pack, as Tune makes it, without Ray."""
    options = {"checkpoint_epochs": 2, **options}

    class Pack(SparseTrial):
        def setup(self, config):
            begin(path, config, axis_names)
            super().setup(config, WorkerOptions(str(path), axis_names=axis_names, **options))

    axis_names = tuple(axes(configs))
    return Pack(pack_config(configs, list(range(len(configs))) if indices is None else indices, axis_names))


def to_the_end(trial, limit=100):
    results = []
    while not results or not results[-1]["done"]:
        results.append(trial.train())
        assert len(results) < limit
    return results


def ends(results):
    """Return the step, from 1, in which each trial ended, by its index."""
    packs = enumerate(map(PackReport.from_result, results), start=1)
    return {index: n for n, pack in packs for index, report in pack.trials.items() if report.done}


@pytest.mark.parametrize("n", [1, 3])
def test_a_machine_that_does_not_see_the_storage_gives_its_trials_back(tmp_path, n):
    """As one that joins later: it does not see what the run has begun, and writes nothing of its own."""
    configs = grid(*(dict(seed=seed) for seed in range(n)))
    trial = pack_of(tmp_path / "seen", configs)
    options = WorkerOptions(str(tmp_path / "not_seen"), axis_names=tuple(axes(configs)))
    SparseTrial.setup(trial, trial.config, options)
    report = PackReport.from_result(trial.train())
    assert report.done and list(report.trials) == list(range(n))
    for each in report.trials.values():
        assert each.done and not each.is_complete and each.error is None
        assert f"does not see the storage {tmp_path}/not_seen" in each.interruption
    assert not (tmp_path / "not_seen").exists()


def test_only_the_first_trial_of_a_process_excludes_objects_from_garbage_collections(tmp_path):
    """Excluded objects are never collected, so none may belong to a trial that has ended."""
    pack_of(tmp_path, five()[:1])
    n_frozen = gc.get_freeze_count()
    pack_of(tmp_path, five()[1:2])
    assert 0 < gc.get_freeze_count() <= n_frozen


@pytest.mark.parametrize("engine", ["torch", "sparse"])
def test_a_pack_ends_in_the_folders_of_its_trials_and_its_copies_write_nothing(tmp_path, engine):
    configs = five(engine=engine)
    trial = pack_of(tmp_path, configs)
    assert len(trial.trainer.errors) == 6, "one of them a copy of the last"
    results = to_the_end(trial)
    assert len(results) == 5 and ends(results) == dict.fromkeys(range(5), 5)
    assert sorted(os.listdir(tmp_path)) == sorted(folder_name(config) for config in configs)
    for config in configs:
        assert_as_alone(tmp_path, config, 0 if engine == "sparse" else 1e-5)
        assert (tmp_path / folder_name(config) / "checkpoint_000005.pt").exists()
    first = [folder_of(tmp_path, config).rows()[0]["time_this_iter_s"] for config in configs]
    assert len(set(first)) == 1, "each has its share"


def test_trials_that_end_early_leave_the_pack_which_gets_narrower_and_the_others_do_not_see_it(tmp_path):
    configs, widths = legacy(), []
    trial = pack_of(tmp_path, configs)
    results = []
    while not results or not results[-1]["done"]:
        widths.append(len(trial.trainer.errors))
        results.append(trial.train())
    assert widths == [4, 4, 3, 3, 2]
    assert ends(results) == {0: 5, 1: 2, 2: 5, 3: 4}
    for config in configs:
        assert_as_alone(tmp_path, config)
    assert "epoch 2: a layer has no positive" in folder_of(tmp_path, configs[1]).error()


@pytest.mark.parametrize("older", ["intact", "of another trial"])
def test_a_checkpoint_that_does_not_fit_the_trial_is_named_and_the_trial_resumes_before_it(tmp_path, older):
    configs = grid(dict(seed=1), dict(seed=2))
    begun = pack_of(tmp_path, configs)
    for _ in range(4):
        begun.train()
    names, first = ["checkpoint_000002.pt", "checkpoint_000004.pt"], tmp_path / folder_name(configs[0])
    (first / names[1]).write_bytes(checkpoints.encode({"n_rows": 4, "epoch": 4, "engine": "none"}))
    if older == "of another trial":
        shutil.copy(tmp_path / folder_name(configs[1]) / names[0], first)
    reports = [PackReport.from_result(result).trials for result in to_the_end(pack_of(tmp_path, configs))]
    damage = [damage for report in reports if 0 in report for damage in report[0].damage]
    reasons = [
        f"{names[1]}: state.engine must be of type dict, got str; an older checkpoint is used",
        f"{names[0]}: it is that of trial {identity(configs[1])}; an older checkpoint is used",
    ]
    assert damage == reasons[: 1 if older == "intact" else 2]
    for config in configs:
        assert_as_alone(tmp_path, config)


@pytest.mark.parametrize("values", [{}, dict(kwinners=True, batch_norm=True, model="RigL", engine="torch")], ids=str)
@pytest.mark.parametrize("n_rows", [1, 3, 4])
def test_a_trial_started_in_a_pack_can_be_resumed_alone_and_vice_versa(tmp_path, n_rows, values):
    configs = five(**values)
    begun = pack_of(tmp_path, configs)
    for _ in range(n_rows):
        begun.train()
    before = [(tmp_path / folder_name(config) / "result.json").read_bytes() for config in configs]
    to_the_end(pack_of(tmp_path, configs, [3]))
    # The last is farther than the others when they are resumed as a pack.
    later = pack_of(tmp_path, configs, [4])
    if not later.train()["done"]:
        later.train()
    to_the_end(pack_of(tmp_path, configs))
    for config, rows in zip(configs, before, strict=True):
        assert (tmp_path / folder_name(config) / "result.json").read_bytes().startswith(rows)
        assert_as_alone(tmp_path, config)


def test_a_trial_that_has_lost_its_rows_goes_on_after_those_of_the_csv(tmp_path):
    [config] = grid(dict(seed=1))
    begun = pack_of(tmp_path, [config])
    for _ in range(3):
        begun.train()
    file = tmp_path / folder_name(config) / "result.json"
    # The checkpoint and progress.csv have two epochs.
    kept = b"".join(file.read_bytes().splitlines(keepends=True)[:2])
    file.unlink()
    results = to_the_end(pack_of(tmp_path, [config]))
    damage = [each for result in results for each in PackReport.from_result(result).trials[0].damage]
    assert "result.json: rows are missing; they are written again from progress.csv" in damage
    assert file.read_bytes().startswith(kept), "not trained again"
    assert_as_alone(tmp_path, config)


def test_a_pack_that_was_ended_while_it_wrote_checkpoints_goes_on_as_one(tmp_path):
    configs = five(epochs=6)
    begun = pack_of(tmp_path, configs)
    for _ in range(4):
        begun.train()
    for config in configs[3:]:
        (tmp_path / folder_name(config) / "checkpoint_000004.pt").unlink()
    later = pack_of(tmp_path, configs)
    assert (later.trainer.n_rows, len(later.trainer.errors)) == (2, 6)
    assert len(to_the_end(later)) == 4
    for config in configs:
        assert_as_alone(tmp_path, config)


def test_a_pack_that_is_tried_again_leaves_alone_what_has_ended(tmp_path):
    configs = legacy()
    begun = pack_of(tmp_path, configs)
    for _ in range(3):
        begun.train()
    written = (tmp_path / folder_name(configs[1]) / "failed.json").stat().st_mtime_ns
    later = pack_of(tmp_path, configs)
    assert len(later.trainer.errors) == 3
    assert 1 not in ends(to_the_end(later))
    assert (tmp_path / folder_name(configs[1]) / "failed.json").stat().st_mtime_ns == written
    for config in configs:
        assert_as_alone(tmp_path, config)


def test_a_pack_that_was_ended_before_its_last_marks_writes_them(tmp_path):
    configs = five()
    to_the_end(pack_of(tmp_path, configs))
    (tmp_path / folder_name(configs[2]) / "complete.json").unlink()
    assert len(to_the_end(pack_of(tmp_path, configs))) == 1
    assert {folder_of(tmp_path, config).state() for config in configs} == {State.COMPLETE}


def test_a_trial_whose_training_raises_is_found_and_fails_alone(tmp_path, monkeypatch):
    usual = METHODS["SET"]

    def raises(config):
        method = usual(config)

        def prune(layer):
            # In the third mask update of six.
            if (torch.as_tensor(config.weight_prune_perc) == 0.77).any() and 0.5 < layer.drop_scale < 0.8:
                raise ArithmeticError("not this share")
            return method.prune(layer)

        return replace(method, prune=prune)

    monkeypatch.setitem(METHODS, "SET", raises)
    shares = [0.3, 0.2, 0.77, 0.4, 0.1]
    configs = grid(*(dict(weight_prune_perc=share) for share in shares), epochs=7, prune_decay="cosine")
    results = to_the_end(pack_of(tmp_path, configs))
    # Of five the first two, and of the other three the first.
    splits = [PackReport.from_result(result).split_reason for result in results]
    assert [reason for reason in splits if reason is not None] == ["ArithmeticError: not this share"] * 2
    assert set(ends(results)) == set(range(5))
    failed = folder_of(tmp_path, configs[2])
    assert (failed.state(), failed.error()) == (State.FAILED, "ArithmeticError: not this share")
    assert "in prune" in (tmp_path / folder_name(configs[2]) / "error.txt").read_text(), "the traceback is there"
    for config in configs[:2] + configs[3:]:
        assert_as_alone(tmp_path, config)
    # A retry would raise the same error, so Tune must not see it.
    [result] = to_the_end(pack_of(tmp_path / "alone", configs, [2]))[-1:]
    assert PackReport.from_result(result).trials[2].error == "ArithmeticError: not this share"
    assert folder_of(tmp_path / "alone", configs[2]).state() is State.FAILED


def test_a_single_trial_without_memory_is_for_tune_to_try_again(tmp_path, monkeypatch):
    usual = METHODS["SET"]

    def too_large(config):
        def prune(layer):
            raise MemoryError("other processes take it")

        return replace(usual(config), prune=prune)

    monkeypatch.setitem(METHODS, "SET", too_large)
    configs = five(epochs=3)
    with pytest.raises(MemoryError):
        to_the_end(pack_of(tmp_path, configs, [2]))
    assert folder_of(tmp_path, configs[2]).error() is None


def test_a_pack_that_is_too_large_to_be_built_goes_on_as_halves(tmp_path, monkeypatch):
    usual = METHODS["SET"]

    def limited(config):
        if len(torch.as_tensor(config.seed).reshape(-1)) > 2:
            raise MemoryError("more than two")
        return usual(config)

    monkeypatch.setitem(METHODS, "SET", limited)
    configs = five(epochs=3)
    results = to_the_end(pack_of(tmp_path, configs))
    splits = [PackReport.from_result(result).split_reason for result in results]
    assert [reason for reason in splits if reason is not None] == ["MemoryError: more than two"] * 2
    for config in configs:
        assert_as_alone(tmp_path, config)


def test_each_trial_has_its_own_limit_of_time(tmp_path):
    configs = five()
    begun = pack_of(tmp_path, configs)
    begun.train(), begun.train()
    rows = tmp_path / folder_name(configs[1]) / "result.json"
    # As if the second had taken an hour before.
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    rows.write_text("".join(json.dumps({**line, "time_total_s": 3600.0}) + "\n" for line in lines))
    to_the_end(pack_of(tmp_path, configs, trial_seconds=1800))
    assert "TrialError: The trial took 3600 s; its limit is 1800 s." in folder_of(tmp_path, configs[1]).error()
    for config in configs[:1] + configs[2:]:
        assert_as_alone(tmp_path, config)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS], ids=["full", "read-only"])
def test_a_storage_that_cannot_be_written_interrupts_all_trials_and_fails_none(tmp_path, monkeypatch, number):
    configs, append = five(), TrialFolder.append

    def full(self, row):
        if row["training_iteration"] == 3 and row["trial_id"] in folder_name(configs[3]):
            raise OSError(number, os.strerror(number), "here")
        append(self, row)

    monkeypatch.setattr(TrialFolder, "append", full)
    results = to_the_end(pack_of(tmp_path, configs))
    assert len(results) == 3
    last = PackReport.from_result(results[-1])
    assert last.done and len(last.trials) == 5
    assert all("the storage cannot be written" in each.interruption for each in last.trials.values())
    assert all(each.ends_run for each in last.trials.values())
    assert {folder_of(tmp_path, config).state() for config in configs} == {State.STARTED}
    monkeypatch.undo()
    to_the_end(pack_of(tmp_path, configs))
    for config in configs:
        assert_as_alone(tmp_path, config)


@pytest.mark.parametrize(
    "values",
    [
        dict(study="sweep", sparsities=[0.5, 0.9], prune_kinds=["weight"], retrain_epochs=1),
        dict(study="ticket", prune_iter=2, rewind_step=5),
    ],
    ids=["sweep", "ticket"],
)
def test_studies_are_packed_too_and_continued_from_any_row(tmp_path, values):
    values = dict(network="MLP", model="Dense", epochs=2, **values)
    configs = grid(*(dict(seed=seed, learning_rate=rate) for seed in (0, 1) for rate in (0.1, 0.03)), **values)[:3]
    begun = pack_of(tmp_path, configs)
    for _ in range(3):
        begun.train()
    to_the_end(pack_of(tmp_path, configs))
    for config in configs:
        assert_as_alone(tmp_path, config)


def test_a_trial_that_diverges_goes_on_by_itself(tmp_path):
    configs = grid(dict(learning_rate=1e6), dict(seed=1), dict(seed=2), engine="torch", epochs=3)
    to_the_end(pack_of(tmp_path, configs))
    assert math.isnan(folder_of(tmp_path, configs[0]).rows()[-1]["train_loss"])
    for config in configs:
        assert_as_alone(tmp_path, config)


def test_a_pack_is_reused_for_one_trial_and_the_other_way_round(tmp_path):
    configs = five(epochs=2)
    trial = pack_of(tmp_path, configs, [0, 1, 2])
    to_the_end(trial)
    assert trial.reset_config(pack_config(configs, [3], axes(configs))) is True
    to_the_end(trial)
    assert trial.reset_config(pack_config(configs, [4], axes(configs))) is True
    to_the_end(trial)
    for config in configs:
        assert_as_alone(tmp_path, config)


# The size of packs


def largest(pack, *devices, **options):
    return largest_pack(RunOptions(pack=pack, **options), grid(*(dict(device=d) for d in devices)))


def test_auto_packs_where_all_trials_are_on_a_gpu_also_with_callbacks(capsys):
    assert largest("auto", "cuda", "cuda") == 512
    assert largest("auto", "cpu") == largest("auto", "cpu", "cuda") == largest("off", "cuda") == 1
    assert capsys.readouterr().err == ""
    assert largest("auto", "cuda", tensorboard=True) == largest("auto", "cuda", callbacks=[Callback()]) == 512
    assert largest(4, "cpu") == largest("4", "cuda") == 4
    with pytest.raises(ExperimentError, match=r"pack must be 'auto', 'off' or a number of trials .* got many"):
        largest("many", "cpu")


def test_a_pack_on_a_gpu_has_one_where_nothing_is_said_and_packs_are_shared_out_over_all():
    said, unsaid = (Experiment("e", "?", SMALL, gpus_per_trial=gpus) for gpus in (0.5, 0))
    on_gpu, on_cpu = grid(dict(device="cuda")), grid(dict(device="cpu"))
    assert [gpus_per_pack(unsaid, on_gpu, 512), gpus_per_pack(said, on_gpu, 512)] == [1, 0.5]
    assert [gpus_per_pack(unsaid, on_gpu, 1), gpus_per_pack(unsaid, on_cpu, 4)] == [0, 0]
    assert [even_pack_size(432, there, 1, 512) for there in (1, 2, 4, 8)] == [432, 216, 108, 54]
    assert even_pack_size(432, 2, 0.5, 512) == 108
    assert [even_pack_size(1000, 1, 1, 512), even_pack_size(3, 8, 1, 512), even_pack_size(7, 0, 1, 512)] == [512, 1, 7]


@pytest.mark.parametrize("pack", ["0", "-3", "many", "513", "2.5"])
def test_the_command_says_what_pack_may_be(tmp_path, pack):
    file = tmp_path / "small.py"
    file.write_text(
        "from dynsparse.experiment import Experiment\n"
        "experiment = Experiment('small', '?', dict(dataset_name='digits', hidden_sizes=[10]), epochs=1)\n"
    )
    result = CliRunner().invoke(main, ["run", str(file), "--storage", str(tmp_path / "here"), "--pack", pack])
    assert result.exit_code == 2
    assert f"pack must be 'auto', 'off' or a number of trials from 1 to 512, got {pack}" in result.output
    assert list(tmp_path.iterdir()) == [file]


def test_folders_are_begun_on_a_machine_without_the_gpu_of_the_trials(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    configs = grid({}, {"dropout": 0.5}, device="cuda")
    _begin(
        open_folder(str(tmp_path)),
        Experiment("begun", "Does it begin without a GPU?", {"dataset_name": "digits"}, epochs=1),
        configs,
    )
    assert [folder_of(tmp_path, config).about()["engine"] for config in configs] == ["packed", "torch"]
