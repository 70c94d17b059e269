"""Runs with population-based training: a copy is the resume of another trial, whatever packs and kills there are."""

import errno
import os
import shutil
from dataclasses import replace

import pytest
from ray import tune as ray_tune
from support.command_line import invoke

import analysis
from analysis.plots import plot_importance
from dynsparse.config import Config
from dynsparse.experiment import Experiment, ExperimentError, load_experiment
from dynsparse.io.json_object import parse_object
from dynsparse.io.storage import LocalFolder, open_folder
from dynsparse.results import checkpoints
from dynsparse.results.fork import COPIED_FROM
from dynsparse.results.trial_folder import TrialFolder, folder_name, identity
from dynsparse.results.watch import follow
from dynsparse.training.trainer import Trainer, TrialError
from dynsparse.tune import run
from dynsparse.tune.pack_training import PackTraining
from dynsparse.tune.preflight import with_absolute_data_dir

pytestmark = pytest.mark.usefixtures("one_thread")

FILE = """
from ray import tune
from dynsparse.experiment import Experiment

space = dict(dataset_name="digits", model="SET", hidden_sizes=[10], batch_size=128, val_fraction=0.2, test_noise=False,
             engine="sparse", learning_rate=tune.loguniform(1e-3, 0.5), on_perc=tune.uniform(0.2, 0.5),
             seed=tune.grid_search([0, 1]))
experiment = Experiment("pop", "Which rate?", space, epochs=3, num_samples=3)
"""
OPTIONS = {"scheduler": "pbt", "in_process": True}
# Two populations of three members, in each of which one is replaced at the epochs 1 and 2.
N_COPIES = 4
DAMAGED = b"damaged"
# What may differ between two runs.
OF_A_RUN = ("experiment_tag", "date", "timestamp", "pid", "time_this_iter_s", "time_total_s", "hostname", "node_ip")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "pop.py"
    path.write_text(FILE)
    return path


def rows_of(folder):
    return {
        path.parent.name: [parse_object(line) for line in path.read_bytes().splitlines()]
        for path in sorted(folder.glob("trial_*/result.json"))
    }


def content(folder):
    """Return of each trial its status, its rows without times, and its newest weights."""
    df = analysis.load(folder).set_index("trial_dir")[["status", "error"]].fillna("")
    found = {}
    for name, rows in rows_of(folder).items():
        newest = max((folder / name).glob("checkpoint_*.pt"))
        state = newest.read_bytes()
        weights = [] if state == DAMAGED else checkpoints.decode(state)["engine"]["weights"]
        plain = [{key: value for key, value in row.items() if key not in OF_A_RUN} for row in rows]
        found[name] = (*df.loc[name], newest.name, repr(plain), repr([each.tolist() for each in weights]))
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory, file):
    storage = tmp_path_factory.mktemp("whole")
    outcome = run(file, storage, **OPTIONS)
    assert (outcome.n_complete, outcome.n_stopped, outcome.n_unfinished) == (6, N_COPIES, 0)
    assert len(outcome.copies) == N_COPIES
    assert f"n_complete=6, n_unfinished=0, failures=[], seconds={outcome.seconds}, " in repr(outcome)
    assert repr(outcome).endswith(", copies=<4 trials>)"), "not the configuration of each"
    return storage / "pop"


def copies_in(folder):
    """Return the trials with `starts_from`, by the names of their folders."""
    configs = [Config.saved(parse_object(path.read_bytes())) for path in folder.glob("trial_*/params.json")]
    return {folder_name(config): config for config in configs if config.starts_from}


def test_the_worst_of_each_population_is_replaced_by_a_copy_of_its_best(whole):
    df, rows = analysis.load(whole), rows_of(whole)
    assert df.groupby("seed")["status"].value_counts().to_dict() == {
        (seed, status): n for seed in (0, 1) for status, n in (("complete", 3), ("stopped", 2))
    }
    for name, child in copies_in(whole).items():
        parent, _, n = child.starts_from.partition("@")
        copied, own = rows[name][: int(n)], rows[name][int(n) :]
        originals = [row.get(COPIED_FROM, f"trial_{parent}") for row in rows[f"trial_{parent}"][: int(n)]]
        assert [row[COPIED_FROM] for row in copied] == originals
        assert not any(COPIED_FROM in row for row in own)
        assert [row["val_acc"] for row in copied] == [row["val_acc"] for row in rows[f"trial_{parent}"][: int(n)]]
        assert {row["time_total_s"] for row in copied} == {0.0} and own[0]["time_total_s"] == own[0]["time_this_iter_s"]
        assert {row["trial_id"] for row in rows[name]} == {identity(child)}
    reasons = df.loc[df["status"] == "stopped", "error"]
    assert reasons.str.fullmatch(r"replaced by a copy of trial [0-9a-f]{12} at epoch [12]: [0-9a-f]{12}").all()


def test_the_first_row_of_a_copy_continues_the_weights_of_its_parent(file, tmp_path, monkeypatch):
    kept = {}
    whole_save = TrialFolder.save_checkpoint

    def save(self, n_rows, state):
        kept[state["trial_id"], n_rows] = state
        whole_save(self, n_rows, state)

    monkeypatch.setattr(TrialFolder, "save_checkpoint", save)
    run(file, tmp_path, **OPTIONS)
    copies = copies_in(tmp_path / "pop")
    for name, child in copies.items():
        parent, _, n = child.starts_from.partition("@")
        of_parent = Config.saved(parse_object((tmp_path / "pop" / f"trial_{parent}" / "params.json").read_bytes()))
        assert of_parent.learning_rate != child.learning_rate and of_parent.on_perc == child.on_perc
        # By hand: the parent with another learning rate, from its own state.
        trainer = Trainer([replace(of_parent, learning_rate=child.learning_rate)])
        trainer.load_state_dict(kept[parent, int(n)])
        [row] = trainer.step()
        own = rows_of(tmp_path / "pop")[name][int(n)]
        assert repr({key: own[key] for key in row}) == repr(row)
    assert len(copies) == N_COPIES


def test_the_progress_names_the_best_of_all_rounds(file, tmp_path):
    # With rates so high, the accuracy falls.
    rates = ray_tune.uniform(20, 40)
    experiment = load_experiment(file)
    experiment = replace(experiment, space={**experiment.space, "learning_rate": rates, "momentum": 0.99}, epochs=4)
    run(experiment, tmp_path, **OPTIONS)
    status = parse_object((tmp_path / "pop" / "status.json").read_bytes())
    best = [max(row["val_acc"] for row in rows) for rows in rows_of(tmp_path / "pop").values()]
    last = [rows[-1]["val_acc"] for rows in rows_of(tmp_path / "pop").values()]
    assert status["best"] == max(best) > max(last)


def test_packs_end_as_single_trials_do(whole, file, tmp_path):
    run(file, tmp_path, pack=3, **OPTIONS)
    assert content(tmp_path / "pop") == content(whole)


def test_analysis_counts_copies_and_takes_their_settings_from_their_first_own_row_on(whole):
    df, history = analysis.load(whole), analysis.load_history(whole)
    assert df["starts_from"].notna().sum() == N_COPIES and "starts_from" not in analysis.hyperparameters(df)
    assert "4 trials began as copies of others: their settings hold only after the rows" in analysis.left_out(df)
    assert "copies" not in analysis.left_out(df[df["starts_from"].isna()])
    assert "copies" in plot_importance(df, "val_acc_max").layout.title.text
    n_copied = df["starts_from"].dropna().str.partition("@")[2].astype(int).sum()
    assert history["copied_from"].notna().sum() == n_copied and "copied_from" not in analysis.metrics(history)
    counts = analysis.curves(history, [], "val_acc").set_index("epoch")["count"]
    # All members train each epoch; trials do not count in the epochs that another one has trained.
    assert counts.to_dict() == {1: 6, 2: 6, 3: 6}
    # Nobody has trained for longer than all rows together took.
    seconds = [row["time_this_iter_s"] for rows in rows_of(whole).values() for row in rows if COPIED_FROM not in row]
    assert df["trial_time"].sum() == pytest.approx(sum(seconds) / 60) and len(seconds) == 6 * 3
    n_own = history[history["copied_from"].isna()].groupby("trial_id").size()
    total = df["mean_epoch_time"] * n_own.reindex(df["trial_id"]).to_numpy()
    assert total.to_numpy() == pytest.approx(df["trial_time"].to_numpy())
    # After each epoch, the trials that have trained it are the members of the populations.
    trained = history[history["copied_from"].isna()].groupby("epoch")["trial_id"].agg(set).to_dict()
    for epoch in (1, 2, 3):
        then = analysis.load(whole, at_epoch=epoch)
        assert set(then.loc[then["status"] == "complete", "trial_id"]) == trained[epoch]
    # A row has the rate with which it was trained, as the trial that trained it says.
    rates = df.set_index("trial_dir")["learning_rate"]
    assert history["learning_rate"].tolist() == rates[history["copied_from"].fillna(history["trial_dir"])].tolist()


class Killed(BaseException):
    """The end of a process."""


def test_a_run_that_is_killed_at_each_step_ends_as_one_that_was_not(whole, file, tmp_path, monkeypatch):
    whole_step = PackTraining.step

    def step(self):
        report = whole_step(self)
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return report

    monkeypatch.setattr(PackTraining, "step", step)
    n_killed = 0
    while True:
        left = [2]
        try:
            outcome = run(file, tmp_path, pack=3, quiet=True, **OPTIONS)
        except Killed:
            n_killed += 1
            continue
        break
    assert n_killed >= 2 and outcome.n_unfinished == 0
    assert content(tmp_path / "pop") == content(whole)


def test_a_run_that_is_killed_at_each_write_between_rounds_ends_as_one_that_was_not(whole, file, tmp_path, monkeypatch):
    """Each run may do one write more than the one before: forks and marks are made again until all are whole."""
    whole_replace, in_training, allowed, left = LocalFolder.replace, [False], [0], [0]
    whole_step = PackTraining.step

    def step(self):
        in_training[0] = True
        try:
            return whole_step(self)
        finally:
            in_training[0] = False

    def write(self, name, content):
        if not in_training[0] and self.path.rpartition("/")[2].startswith("trial_"):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
        whole_replace(self, name, content)

    monkeypatch.setattr(LocalFolder, "replace", write)
    monkeypatch.setattr(PackTraining, "step", step)
    while True:
        left[0] = allowed[0] = allowed[0] + 1
        try:
            run(file, tmp_path, quiet=True, pack=3, **OPTIONS)
        except Killed:
            continue
        break
    # 5 writes for each copy and 1 for each trial that it replaces, 2 for each of the 6 trials of the grid.
    assert allowed[0] >= 6
    assert content(tmp_path / "pop") == content(whole)


def test_a_trial_that_lacks_only_its_mark_of_completion_gets_it(whole, file, tmp_path):
    shutil.copytree(whole, tmp_path / "pop")
    for path in (tmp_path / "pop").glob("trial_*/complete.json"):
        path.unlink()
    assert run(file, tmp_path, **OPTIONS).n_complete == 6
    assert content(tmp_path / "pop") == content(whole)


def test_the_command_counts_copies_and_a_rerun_has_nothing_to_do(whole, file, tmp_path):
    words = ["run", str(file), "--in-process", "--scheduler", "pbt", "--storage", str(tmp_path)]
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    assert "6 trials complete in" in result.stdout and "4 trials stopped early" in result.stdout
    assert "4 trials began as copies of others" in result.stdout
    lines = result.stderr.splitlines()
    assert [line for line in lines if " until epoch " in line] == [
        "training 6 trials until epoch 1", "training 6 trials until epoch 2", "training 6 trials until epoch 3",
    ]  # fmt: skip
    assert lines[-1].startswith("6 of 10 trials done, 0 running, 4 replaced by copies, best val_acc")
    assert next(follow(str(tmp_path / "pop"))).endswith(": ended")
    again = invoke(*words)
    assert again.exit_code == 0 and "10 trials: 6 complete, 4 stopped early" in again.stderr
    assert " until epoch " not in again.stderr and "4 trials began as copies" in again.stdout
    assert content(tmp_path / "pop") == content(whole)
    # Without a scheduler the grid is trained to its end, and the copies stay.
    plain = invoke(*words[:3], "--storage", str(tmp_path), "--scheduler", "none")
    assert "4 more trials in the folder are not in the grid" in plain.stderr and plain.exit_code == 0


def test_a_full_disk_between_two_rounds_ends_the_run_and_the_same_command_resumes_it(
    whole, file, tmp_path, monkeypatch
):
    whole_write = TrialFolder.write_rows

    def full(self, rows):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "result.json")

    monkeypatch.setattr(TrialFolder, "write_rows", full)
    outcome = run(file, tmp_path, **OPTIONS)
    assert (outcome.n_complete, outcome.n_unfinished) == (0, 8), "two copies have no rows"
    monkeypatch.setattr(TrialFolder, "write_rows", whole_write)
    assert run(file, tmp_path, **OPTIONS).n_unfinished == 0
    assert content(tmp_path / "pop") == content(whole)


def test_a_damaged_checkpoint_of_a_parent_is_trained_again(whole, file, tmp_path, monkeypatch):
    def die(self, rows):
        raise Killed

    with monkeypatch.context() as patch:
        # After the first round, before a copy is made.
        patch.setattr(TrialFolder, "write_rows", die)
        with pytest.raises(Killed):
            run(file, tmp_path, **OPTIONS)
    for path in (tmp_path / "pop").glob("trial_*/checkpoint_000001.pt"):
        path.write_bytes(DAMAGED)
    assert run(file, tmp_path, **OPTIONS).n_unfinished == 0
    found = content(tmp_path / "pop")
    stopped = {name for name, (status, *_) in found.items() if status == "stopped"}
    # Trials that are replaced keep their damaged checkpoint.
    assert {name: found[name] for name in found.keys() - stopped} == {
        name: each for name, each in content(whole).items() if name not in stopped
    }


def test_a_copy_never_trains_from_its_beginning(whole, file, tmp_path):
    name, child = next((name, each) for name, each in copies_in(whole).items() if each.starts_from.endswith("@2"))
    with pytest.raises(TrialError, match=r"^A trial with starts_from must continue from the state that it names, got "):
        Trainer([child]).step()
    alone = Experiment("alone", "Which?", {**child.values(), "dataset_name": "digits"})
    with pytest.raises(ExperimentError, match=r"^starts_from must be left out of a space: scheduler='pbt' sets it"):
        run(alone, tmp_path, in_process=True)
    assert not list(tmp_path.iterdir())
    # If its checkpoints are lost, it fails.
    folder = tmp_path / "pop"
    shutil.copytree(whole, folder)
    for path in [folder / name / "complete.json", *(folder / name).glob("*.pt")]:
        path.unlink()
    [failure] = run(file, tmp_path, **OPTIONS).failures
    assert failure.trial == name and "must continue from the state that it names" in failure.error
    # If its rows are lost, its parent has no checkpoint of that epoch any more.
    shutil.rmtree(folder)
    shutil.copytree(whole, folder)
    for lost in ("result.json", "progress.csv", "complete.json"):
        (folder / name / lost).unlink()
    parent = f"trial_{child.starts_from.partition('@')[0]}"
    problem = rf"^Trial {identity(child)} cannot begin as a copy of trial .* --name, .* remove {parent} too"
    with pytest.raises(ExperimentError, match=problem):
        run(file, tmp_path, **OPTIONS)
    assert not (folder / name / "result.json").exists()
    shutil.rmtree(folder / parent)
    assert run(file, tmp_path, **OPTIONS).n_unfinished == 0
    assert content(folder) == content(whole)


def test_more_samples_would_make_other_copies(whole, file, tmp_path):
    shutil.copytree(whole, tmp_path / "pop")
    more = replace(load_experiment(file), num_samples=6)
    before = r"^The copies in the folder .* were made with 3 samples, grace=1 and reduction_factor=3\.0\. Other copies"
    with pytest.raises(ExperimentError, match=f"{before} would follow from 6 samples, .* --name, or the same "):
        # Decisions about six members would be known only when all have trained for an epoch.
        run(more, tmp_path, **OPTIONS)
    # The members that stopped at the first exchange would have to train on.
    with pytest.raises(ExperimentError, match=f"{before} would follow from 3 samples, grace=2 and "):
        run(file, tmp_path, grace=2, **OPTIONS)
    assert content(tmp_path / "pop") == content(whole), "nothing was trained"
    # The populations of other seeds are others.
    assert run(more, tmp_path, overrides={"seed": [7]}, **OPTIONS).n_unfinished == 0
    # Copies whose origin is not known are refused when the exchange is known.
    for path in (tmp_path / "pop").glob("trial_*/about.json"):
        path.unlink()
    with pytest.raises(ExperimentError, match=r" no longer has a checkpoint of this epoch\. .* --name, or the same"):
        run(more, tmp_path, **OPTIONS)


def test_a_folder_without_some_trials_trains_them_again(whole, file, tmp_path):
    shutil.copytree(whole, tmp_path / "pop")
    child = next(each for each in copies_in(whole).values() if each.starts_from.endswith("@1"))
    shutil.rmtree(tmp_path / "pop" / f"trial_{child.starts_from.partition('@')[0]}")
    assert run(file, tmp_path, **OPTIONS).n_unfinished == 0
    assert content(tmp_path / "pop") == content(whole)


def test_trials_that_were_trained_without_the_scheduler_have_no_exchanges(file, tmp_path):
    run(file, tmp_path, in_process=True)
    with pytest.raises(ExperimentError, match=r" no longer has .* the scheduler or the trial folders have changed"):
        run(file, tmp_path, **OPTIONS)


def test_a_trial_that_has_failed_leaves_its_population(file, tmp_path):
    first = with_absolute_data_dir(load_experiment(file).configs()[0])
    trial = TrialFolder(open_folder(str(tmp_path / "pop" / folder_name(first))))
    trial.create(first, {})
    trial.fail("Error: on purpose")
    outcome = run(file, tmp_path, **OPTIONS)
    # Two of three members are left, of which one is replaced at each exchange.
    assert (outcome.n_complete, outcome.n_stopped, len(outcome.failures), outcome.n_unfinished) == (5, 4, 1, 0)
    assert f"{identity(first)}@" not in " ".join(str(each.starts_from) for each in outcome.copies)
    again = run(file, tmp_path, **OPTIONS)
    assert (again.n_complete, again.copies) == (5, outcome.copies)


def grid(**changes):
    space = {"dataset_name": "digits", "model": "SET", "learning_rate": ray_tune.uniform(0.1, 0.5)}
    values = {"num_samples": 4, "epochs": 4, **changes}
    return Experiment("pop", "Which?", {**space, **values.pop("space", {})}, **values)


FIXED_RATE = {"learning_rate": 0.1}


@pytest.mark.parametrize(
    ("experiment", "options", "problem"),
    [
        (grid(), {"group_by": "seed"}, r"group_by must not be given with scheduler='pbt', got 'seed'"),
        (grid(), {"searcher": "optuna"}, r"scheduler='pbt' must not be given with searcher='optuna': its populations"),
        (grid(), {"limit": 3}, r"limit must not be given with scheduler='pbt', got 3"),
        (grid(), {"retry_failed": True}, r"retry_failed must not be given with scheduler='pbt'"),
        (grid(), {"grace": 4}, r"scheduler='pbt' needs a grace below epochs=4, .* got 4\."),
        (grid(num_samples=1), {}, r"scheduler='pbt' needs at least 2 different samples .* got 1\. Raise num_samples"),
        (grid(space={"study": "ticket", "model": "Dense"}), {}, r"scheduler='pbt' is for study='train' only"),
        (grid(space={"epochs": ray_tune.grid_search([4, 8])}), {}, r"scheduler='pbt' needs trials of equally many"),
        (grid(num_samples=1, space={**FIXED_RATE, "seed": ray_tune.grid_search([0, 1])}), {},
         r"scheduler='pbt' changes values that are drawn from domains, and the space has none\."),
        (grid(space={**FIXED_RATE, "on_perc": ray_tune.uniform(0.1, 0.5)}), {},
         r"scheduler='pbt' cannot change any of the drawn keys \(on_perc\) .* on_perc is fixed by the number of"),
    ],
)  # fmt: skip
def test_what_has_no_populations_is_refused_before_anything_is_written(experiment, options, problem, tmp_path):
    with pytest.raises(ExperimentError, match=f"^{problem}"):
        run(experiment, tmp_path, **{**OPTIONS, **options})
    assert not list(tmp_path.iterdir())


def test_a_key_that_is_overridden_is_not_drawn(tmp_path):
    with pytest.raises(ExperimentError, match=r"^scheduler='pbt' changes values that are drawn from domains, and "):
        run(grid(), tmp_path, overrides={"learning_rate": [0.1, 0.2]}, **OPTIONS)
    assert not list(tmp_path.iterdir())


def test_an_experiment_may_ask_for_it(file, tmp_path):
    experiment = replace(load_experiment(file), run_options={**OPTIONS, "grace": 2})
    outcome = run(experiment, tmp_path)
    assert (outcome.n_complete, outcome.n_stopped, len(outcome.copies)) == (6, 2, 2)
    shown = tmp_path / "shown.py"
    shown.write_text(FILE + f"\nexperiment = Experiment('pop', '?', space, 3, 3, run_options={OPTIONS})\n")
    assert (
        "2 populations of 3 trials; after the epochs 1, 2, the worst are replaced by copies with other values of "
        "learning_rate\n" in invoke("show", str(shown)).stdout
    )
    folder = open_folder(str(tmp_path / "pop"))
    assert all(TrialFolder(folder.sub(folder_name(each))).exists() for each in outcome.copies)


@pytest.mark.faults
def test_ray_ends_as_one_process_does(whole, file, tmp_path):
    outcome = run(file, tmp_path, cpus_per_trial=1, scheduler="pbt", pack=3)
    assert (outcome.n_complete, outcome.n_stopped, outcome.n_unfinished) == (6, N_COPIES, 0)
    assert content(tmp_path / "pop") == content(whole)
