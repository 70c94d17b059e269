"""Methods of the user's own: wrong fields and wrong results of rules are errors that say what to change."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dynsparse import tune
from dynsparse.config import Config, ConfigError
from dynsparse.experiment import ExperimentError, load_experiment
from dynsparse.methods import MethodError
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

FILE = """
import torch
from dynsparse import Experiment
from dynsparse.methods.base import Method, at_random, highest, lowest
from dynsparse.ops import masks
from dynsparse.ops.schedules import cubic
from dynsparse.ops.scores import gradient, magnitude, require

prune = lowest(magnitude, 0.3)
BY_GRADIENT = frozenset({"gradient"})


def a_few(config):
    return Method(config.on_perc, prune, lambda layer, kept, n: at_random(layer, kept, n // 2))


def too_many(config):
    return Method(config.on_perc, prune, lambda layer, kept, n: at_random(layer, kept, n + 7))


def kept_too(config):
    return Method(config.on_perc, prune, lambda layer, kept, n: kept | at_random(layer, kept, n))


def grows_floats(config):
    return Method(config.on_perc, prune, lambda layer, kept, n: at_random(layer, kept, n).float())


def prunes_a_score(config):
    return Method(config.on_perc, magnitude, at_random)


def prunes_a_row(config):
    return Method(config.on_perc, lambda layer: prune(layer)[..., :1, :], at_random)


def prunes_nothing_at_all(config):
    return Method(config.on_perc, lambda layer: None, at_random)


def prunes_inactive(config):
    return Method(config.on_perc, lambda layer: ~(layer.mask & ~prune(layer)), at_random, prune_ignores_position=True)


def reads_what_it_does_not_need(config):
    return Method(config.on_perc, prune, highest(gradient))


def falls_too_little(config):
    return Method(config.on_perc, lowest(magnitude, 0.01), at_random, surplus=cubic)


def falls_too_far(config):
    return Method(config.on_perc, lowest(magnitude, 0.9), surplus=cubic, prune_ignores_position=True)


def breaks_groups(config):
    def first(layer, kept, n):
        return (~kept).flatten(-2).cumsum(-1).le(n[..., None]).view(kept.shape) & ~kept

    return Method(config.on_perc, prune, first)


def too_dense(config):
    return Method(1.5, prune, at_random)


def no_number(config):
    return Method(None, prune, at_random)


def trained_too_dense(config):
    return Method(config.on_perc, prune, at_random, backward_density=2)


def no_growth(config):
    return Method(config.on_perc, prune)


def cut_off_for_good(config):
    return Method(config.on_perc, prune, drops_cut_off=True, surplus=cubic)


def no_rule(config):
    return Method(config.on_perc, 0.3, at_random)


def list_of_needs(config):
    return Method(config.on_perc, prune, highest(gradient), needs=["gradient"])


def text_of_needs(config):
    return Method(config.on_perc, prune, highest(gradient), needs="gradient")


def misspelt_needs(config):
    return Method(config.on_perc, prune, highest(gradient), needs={"gradients"})


def set_of_needs(config):
    return Method(config.on_perc, prune, highest(gradient), needs={"gradient"})


def two_parts(config):
    def grow(layer, kept, n_grow):
        first = highest(gradient)(layer, kept, n_grow // 2)
        return first | at_random(layer, kept | first, n_grow - masks.count(first))

    return Method(config.on_perc, prune, grow, needs=BY_GRADIENT)


def largest(config):
    from dynsparse.methods.top_kast import no_longer_largest

    return Method(config.on_perc, no_longer_largest, highest(magnitude), backward_density=0.5)


def falls(config):
    from dynsparse.methods.gmp import smallest_beyond_target

    return Method(config.on_perc, smallest_beyond_target, surplus=cubic, prune_ignores_position=True)


experiment = Experiment(
    name="own", question="Is it refused?", space=dict(dataset_name="digits", hidden_sizes=(20,), model=a_few), epochs=2
)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def trained(file: Path, name: str, engine: str = "torch", **keys: object) -> Trainer:
    values = dict(dataset_name="digits", hidden_sizes=(20,), batch_size=512, on_perc=0.25, epochs=3, engine=engine)
    values |= dict(pruning_interval=1, pruning_es=False, model=f"{file}:{name}", **keys)
    trainer = Trainer([Config.of(values)])
    while not trainer.is_done:
        trainer.step()
    return trainer


# Layer 0 has 1280 weights, 320 of them active, of which 96 are dropped.
@pytest.mark.parametrize("engine", ["sparse", "torch"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "a_few",
            r"The grow rule of 'a_few' must return exactly the number of positions that it is asked for, 96 in layer "
            r"0, but returned 48\. Build the rule by `highest\(score\)`",
        ),
        ("too_many", r"exactly the number of positions that it is asked for, 96 in layer 0, but returned 103\. Build"),
        (
            "kept_too",
            r"The grow rule of 'kept_too' must return only the positions that grow, none of `kept`, but 224 of those "
            r"that it returned in layer 0 are kept ones\. Return `grown & ~kept`",
        ),
        (
            "grows_floats",
            r"The grow rule of 'grows_floats' must return a tensor of the shape and type of `layer\.mask`, torch\.bool "
            r"of shape \(1, 20, 64\) in layer 0, but returned torch\.float32 of shape \(1, 20, 64\)\. Return True",
        ),
        ("prunes_a_score", r"The prune rule of .*, but returned torch\.float32 .* Build the rule by `lowest\(score, "),
        ("prunes_a_row", r"but returned torch\.bool of shape \(1, 1, 64\)\. Return True where a weight is dropped\."),
        ("prunes_nothing_at_all", r"torch\.bool of shape \(1, 20, 64\) in layer 0, but returned NoneType\. Return"),
        (
            "reads_what_it_does_not_need",
            r"The grow rule of 'reads_.*' must read only statistics that its method lists in `needs`, got needs=\[\], "
            r"but reads another one in layer 0\. Add it to `needs`\. Available: coactivation, gradient, ",
        ),
        (
            "falls_too_little",
            r"The prune rule of 'falls_too_little' must drop at least the weights that exceed `layer\.target`, 840 in "
            r"layer 0, but dropped 13\. Drop `\(masks",
        ),
        ("falls_too_far", r"must drop exactly the weights that exceed `layer\.target`, 840 in layer 0, but dropped"),
    ],
)
def test_what_a_rule_returns_is_checked(file: Path, name: str, message: str, engine: str) -> None:
    with pytest.raises(MethodError, match=message):
        trained(file, name, engine)


def test_dropped_positions_that_are_inactive_are_refused(file: Path) -> None:
    message = r"The prune rule of 'prunes_inactive' must return active positions only, .* but 960 of .* in layer 0 are"
    with pytest.raises(MethodError, match=message):
        trained(file, "prunes_inactive")


def test_a_lost_pattern_is_named(file: Path) -> None:
    message = (
        r"The grow rule of 'breaks_groups' must keep mask_pattern='1:4', but groups have 0 to 4 active weights in "
        r"layer 0 \(20 x 64\)\. Build the rule by `highest\(score\)`, or select .*; or set mask_pattern=None\."
    )
    with pytest.raises(MethodError, match=message):
        trained(file, "breaks_groups", mask_pattern="1:4")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("too_dense", r"The density of the method 'too_dense' must be in \(0, 1\], got 1\.5\. Pass a share, such as c"),
        ("no_number", r"The density of the method 'no_number' must be in \(0, 1\], got None\."),
        ("trained_too_dense", r"The backward_density of the method 'trained_too_dense' must be in \(0, 1\], got 2\."),
        (
            "no_growth",
            r"The method 'no_growth' must have a grow rule: it prunes and has no `surplus`, so the density would fall "
            r"below `density`\. Set grow=at_random .* set surplus=cubic, of dynsparse\.ops\.schedules, and drop",
        ),
        ("cut_off_for_good", r"must have a grow rule: `drops_cut_off` drops weights that the schedule of the density"),
        ("no_rule", r"`prune` of the method 'no_rule' must be a function or None, got 0\.3\. Pass a rule\."),
        (
            "list_of_needs",
            r"The needs of the method 'list_of_needs' must be a set of names, got \['gradient'\]\. Write "
            r"needs=frozenset\(\{'gradient'\}\)\.",
        ),
        ("text_of_needs", r"must be a set of names, got 'gradient'\. Write needs=frozenset\(\{'gradient'\}\)\."),
        (
            "misspelt_needs",
            r"The needs of the method 'misspelt_needs' must be names of statistics\. Unknown statistic 'gradients'\. "
            r"Did you mean 'gradient'.*\? Available: coactivation, gradient, active_gradient, gradient_momentum",
        ),
    ],
)
def test_fields_of_a_method_are_checked_before_training(file: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(model=f"{file}:{name}", dataset_name="digits")


@pytest.mark.parametrize("engine", ["sparse", "torch"])
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("two_parts", {}),
        ("two_parts", {"mask_pattern": "1:4"}),
        ("two_parts", {"mask_pattern": "4x2", "last_layer_dense": True}),
        ("two_parts", {"on_perc": 0.95}),
        ("set_of_needs", {}),
        ("falls", {}),
        ("largest", {}),
    ],
)
def test_right_methods_train(file: Path, name: str, keys: dict[str, object], engine: str) -> None:
    if (name, engine) == ("largest", "sparse"):
        pytest.skip("the sparse engine has no weights at inactive positions")
    trainer = trained(file, name, engine, **keys)
    density = float(keys.get("on_perc", 0.25))  # type: ignore[arg-type]
    for mask in trainer.parameters().masks[: 1 if "last_layer_dense" in keys else 2]:
        assert int(mask.sum()) == round(density * mask.numel())


def test_the_error_is_that_of_the_first_wrong_trial_of_a_pack(file: Path) -> None:
    keys = dict(dataset_name="digits", hidden_sizes=(20,), model=f"{file}:a_few", engine="torch", batch_size=512)
    trainer = Trainer([Config(**keys, on_perc=each) for each in (0.25, 0.5)])  # type: ignore[arg-type]
    with pytest.raises(MethodError, match=r"96 in layer 0, but returned 48\."):
        trainer.try_out()


def test_a_run_is_refused_before_it_writes(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"^The grow rule of 'a_few' must return exactly the number"):
        tune.run(load_experiment(file), tmp_path / "results", in_process=True)
    assert not list(tmp_path.glob("results/*/trial*"))


def test_a_rule_of_two_parts_may_take_just_pruned_positions() -> None:
    from dynsparse.methods.base import at_random
    from dynsparse.ops.scores import Layer

    mask, noise = torch.tensor([[1, 1, 1, 1, 0, 0, 0, 0]]).bool(), torch.arange(8, dtype=torch.int32)[None]
    layer = Layer(mask.float(), mask, torch.tensor(8), noise, noise)
    kept = torch.tensor([[1, 1, 0, 0, 0, 0, 0, 0]]).bool()
    first = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]]).bool()
    # Positions 2 and 3 have just been pruned, and are all that is left besides the first part.
    assert at_random(layer, kept | first, torch.tensor(2)).int().tolist() == [[0, 0, 1, 1, 0, 0, 0, 0]]
