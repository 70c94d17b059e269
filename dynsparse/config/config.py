"""`Config`: every hyperparameter of a trial, with its default, meaning and check.

Experiment files and result tables use the same keys (`on_perc`, `kwinners`, ...). Defaults are written here only. A
configuration is checked once, when it is created, and all its problems are reported together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import Any

from dynsparse.config.checks import (
    Check,
    Choice,
    ChoiceOrForm,
    Device,
    Flag,
    Function,
    MaskPattern,
    Number,
    OneOrSeveral,
    Optional,
    Several,
    Sizes,
    Text,
    TrialRow,
    Weights,
    Whole,
    resolve,
)
from dynsparse.config.functions import source_hash, without_folder
from dynsparse.config.suggest import unknown

FRACTION = Number(0, 1)
# These packages import this one, so they are named as text and imported when the first Config is created.
DATASETS = "dynsparse.data:DATASETS"
NETWORKS, MODULES = "dynsparse.nn.mlp:NETWORKS", "dynsparse.nn.modules:MODULES"
METHODS = "dynsparse.methods:METHODS"
KINDS_OF_DATA = "dynsparse.data:KINDS"
DATA_FACTS = "dynsparse.data:facts"
IS_OWN_DATA = "dynsparse.data:is_own"
CONFLICTS = "dynsparse.planning.conflicts:conflicts"
# Keys whose value may be a function of the user's own. A key with _hash after its name has the hash of its source.
FUNCTIONS = {"network": Function((NETWORKS, MODULES)), "model": Function((METHODS,))}


# Values that mean something else since version 0.1: the name that 0.1 wrote, and the name of what it did.
RENAMED_SINCE_0_1 = {"prune_decay": ("cosine", "cosine_0.1")}
# A trial keeps the identity that 0.1 gave it: there the value has its name of 0.1, and the new meaning of that name
# another one. These names must never change.
IDENTITY_NAMES = {"prune_decay": {"cosine_0.1": "cosine", "cosine": "cosine_after_0.1"}}

# The default of weight_init for each value of rules.
WEIGHT_INIT_OF = {"fixed": "he_uniform", "legacy_2019": "dense_uniform"}


# The first key of each subject, in the order of the fields of `Config`.
SUBJECTS = {
    "seed": "Trial",
    "study": "Study: what a trial does besides one training",
    "dataset_name": "Data",
    "network": "Network",
    "model": "Method: what is active, what is pruned, what grows",
    "optim_alg": "Optimizer",
    "debug_weights": "Log",
}


class ConfigError(ValueError):
    """An error for a configuration that cannot be trained. The message lists every problem."""


def key(
    default: Any, meaning: str, check: Check, *, per_trial: bool = False, later: bool = False, absent: Any = None
) -> Any:
    """Declare a field of `Config`.

    Args:
        default: The default value.
        meaning: One sentence for the list of keys.
        check: The values that are allowed.
        per_trial: True if trials that differ in this key can still be trained together as one pack.
        later: True for every new key.
        absent: For a new key, the value that describes what trials did before the key existed; `default` if None. With
            this value the key is not part of a trial's identity, so that older trials keep theirs. It must never
            change.
    """
    about = {"meaning": meaning, "check": check, "per_trial": per_trial, "later": later}
    return field(default=default, metadata={**about, "absent": default if absent is None else absent})


@dataclass(frozen=True, kw_only=True)
class Config:
    """The configuration of one trial, from keyword arguments or, with `Config.of`, from a mapping.

    Raises:
        ConfigError: If values are not allowed or contradict each other. The message names each of these keys.
    """

    # The trial
    seed: int = key(0, "seed of all random numbers of the trial", Whole(0), per_trial=True)
    epochs: int = key(30, "passes over the training set", Whole(1))
    device: str = key("cpu", "where the trial is computed", Device())
    engine: str = key(
        "auto",
        "sparse: on a CPU, in time that follows the active weights; packed: many trials at once on a GPU; torch: "
        "anywhere; module: networks that are torch modules, anywhere; auto: the fastest that can train it, mostly "
        "sparse on a CPU and packed on a GPU",
        Choice(("auto", "sparse", "packed", "torch", "module"), older={"wide": "packed"}),
    )
    precision: str = key(
        "float32",
        "of matrix products and convolutions: float32; the faster tf32, whose factors have 11 bits, without effect on "
        "a CPU; or, for torch modules only, bf16: factors of 8 bits where torch.autocast chooses them, float32 weights",
        Choice(("float32", "tf32", "bf16")),
        later=True,
    )
    compile: bool = key(
        False, "for torch modules only: compile training steps by torch.compile, at the first step", Flag(), later=True
    )

    starts_from: str | None = key(
        None,
        "set by scheduler='pbt': the trial begins as a copy of another one; its identity, and the number of rows after "
        "which the copy continues, such as 1f2e3d4c5b6a@5; None: the trial starts anew",
        Optional(TrialRow()),
        per_trial=True,
        later=True,
    )

    # What a trial does beside one training: see dynsparse/studies
    study: str = key(
        "train",
        "train: train once; sweep: then prune to each sparsity and test; ticket: prune, set back and train, in rounds",
        Choice("dynsparse.studies:STUDIES"),
        later=True,
    )
    sparsities: tuple[float, ...] = key(
        (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99),
        "sweep: shares of a layer's weights, or units, that are pruned",
        Several(FRACTION),
        later=True,
    )
    prune_kinds: tuple[str, ...] = key(
        ("weight", "unit"), "sweep: what is pruned", Several(Choice("dynsparse.studies:KINDS")), later=True
    )
    prune_scope: str = key(
        "layer",
        "sweep: the share is one of each layer, or of all together",
        Choice("dynsparse.pruning.ranking:SCOPES"),
        later=True,
    )
    prune_biases: bool = key(True, "sweep: weight pruning prunes as large a share of the biases", Flag(), later=True)
    prune_last_layer: bool = key(False, "sweep: weight pruning prunes the last layer too", Flag(), later=True)
    retrain_epochs: int = key(0, "sweep: epochs of training after each pruning", Whole(0), later=True)
    prune_iteratively: bool = key(
        False, "sweep: each sparsity begins with the network of the one before, not the trained one", Flag(), later=True
    )
    prune_ratio: float = key(
        0.8, "ticket: share of the weights that all rounds together prune", FRACTION, per_trial=True, later=True
    )
    prune_iter: int = key(1, "ticket: rounds of pruning", Whole(1), later=True)
    criterion: str = key(
        "l1",
        "ticket: l1: prune the smallest weights; random: prune at random",
        Choice("dynsparse.studies:CRITERIA"),
        later=True,
    )
    init: str = key(
        "original",
        "ticket: surviving weights go back to their values before rewind_step, or to new ones (reinit)",
        Choice("dynsparse.studies:INITS"),
        later=True,
    )
    rewind_step: int = key(
        0, "ticket: step of the first training to go back to; 0: its beginning", Whole(0), later=True
    )
    last_layer_rate: float = key(
        0.5,
        "ticket: share of the last layer that is pruned over that of the others",
        FRACTION,
        per_trial=True,
        later=True,
    )

    # The data
    dataset_name: str = key(
        "MNIST",
        "data set; or own data: a file, a data set of a library, or a function that returns arrays",
        ChoiceOrForm(DATASETS, forms=KINDS_OF_DATA),
    )
    data_dir: str | None = key(
        None,
        "folder of the data sets, also of a store (s3://...); None: DYNSPARSE_DATA_DIR, or a cache folder; for own "
        "files, the folder of the experiment file comes first",
        Optional(Text()),
    )
    input_size: int = key(None, "inputs; follows the data set and must agree if given", Optional(Whole(1)))
    num_classes: int = key(
        None,
        "classes, or numbers to predict; follows the data set and must agree if given",
        Optional(Whole(1)),
    )
    input_shape: tuple[int, ...] | None = key(
        None,
        "own data: shape of an example for torch modules, such as channels, height, width; follows the data and must "
        "agree if given; None: a row of numbers, or a row of the table",
        Optional(Sizes()),
        later=True,
    )
    pixels: str = key(
        "standard",
        "standard: mean 0 and standard deviation 1 over the training set; unit: in [0, 1]",
        Choice("dynsparse.data:PIXELS"),
        later=True,
    )
    loss: str = key(
        "cross_entropy",
        "cross_entropy: labels are classes; mse: the labels of own data are numbers to predict (regression), and the "
        "loss is the mean squared error of the standardized labels",
        Choice("dynsparse.ops.losses:LOSSES"),
        later=True,
    )
    target: str | tuple[str, ...] | None = key(
        None,
        "own tables: name of the label column, or a list of names of columns with numbers to predict",
        Optional(OneOrSeveral(Text())),
        later=True,
    )
    impute: str | None = key(
        None,
        "own data: what replaces missing values, a statistic of their column in the training part; None: they are "
        "refused",
        Optional(Choice("dynsparse.data.features:IMPUTATIONS")),
        later=True,
    )
    test_fraction: float | None = key(
        None,
        "own data without a test part: share of the examples, the same of each class, that become the test set; all "
        "trials share it; None: no share is given",
        Optional(Number(0, 1, low_open=True, high_open=True)),
        later=True,
    )
    fold: int | None = key(
        None,
        "own data without a test part: which of n_folds parts is the test set, in place of test_fraction; an axis over "
        "range(n_folds) is cross-validation; None: no folds",
        Optional(Whole(0)),
        later=True,
    )
    n_folds: int = key(
        5, "number of parts that fold counts, each with the same share of each class", Whole(2), later=True
    )
    data_hash: str | None = key(
        None,
        "hash of the content of own data; follows the data and must agree if given; None: a row of the table",
        Optional(Text()),
        later=True,
    )
    augment: str | None = key(
        None,
        "images: random changes of the training images in each epoch; crop: moved by up to 4 pixels; crop_flip: and "
        "half of them mirrored; None: no changes",
        Optional(Choice("dynsparse.data.augmentation:AUGMENTATIONS")),
        later=True,
    )
    val_fraction: float = key(
        0.0,
        "share of the training set held out for val_*; 0: val_* is the test set",
        Number(0, 1, high_open=True),
    )
    test_noise: bool = key(True, "also evaluate on noisy test images (noise_*)", Flag())
    noise_level: float = key(0.15, "share of the pixels that noise overwrites", FRACTION)
    noise_levels: tuple[float, ...] = key(
        (),
        "further shares of the pixels; each, such as 0.3, adds noise_acc@0.3 and noise_loss@0.3, and one evaluation",
        Several(FRACTION, least=0),
        later=True,
    )

    test_corruptions: tuple[str, ...] = key(
        (),
        "images: corruptions of the test images; each, such as rotation, adds corrupted_acc@rotation and "
        "corrupted_loss@rotation, and one evaluation",
        Several(Choice("dynsparse.data:CORRUPTIONS"), least=0),
        later=True,
    )

    # The network
    network: str = key(
        "MLPHeb",
        "MLP: multilayer perceptron with ReLU; MLPHeb: with ReLU or k-winners; LeNet5, VGG11, VGG16, ResNet18, "
        "ResNet20, SpeechCNN: convolutional networks; ResidualMLP: with residual connections; or a function that "
        "returns a torch module",
        FUNCTIONS["network"],
    )
    network_hash: str | None = key(
        None,
        "hash of the source of a network's function; follows network, and must agree if given; None: network is a name",
        Optional(Text()),
        later=True,
    )
    hidden_sizes: tuple[int, ...] = key((100, 100, 100), "units of each hidden layer", Sizes())
    batch_norm: bool = key(False, "batch normalisation after each hidden linear layer", Flag())
    weight_init: str = key(
        None,
        "initial weights, for n active inputs of a unit: he_uniform and he_normal have variance gain^2 / n; "
        "active_uniform is U(-1/sqrt(n), 1/sqrt(n)); glorot_uniform has variance 2 / (n + m), where m is the mean "
        "number of active outputs of an input; dense_uniform is active_uniform with all inputs, active or not; "
        "follows rules: he_uniform with fixed, dense_uniform with legacy_2019",
        Optional(Choice("dynsparse.nn.init:WEIGHT_INITS")),
        later=True,
        absent="dense_uniform",
    )
    dropout: float = key(
        0.0, "share of hidden units dropped in training", Number(0, 1, high_open=True, single=True), per_trial=True
    )
    kwinners: bool = key(False, "k-winners instead of ReLU", Flag())
    percent_on: float = key(0.3, "activation density of k-winners", Number(0, 1, low_open=True), per_trial=True)
    k_inference_factor: float = key(1.0, "k in evaluation over k in training", Number(0, None, low_open=True))
    boost_strength: float = key(
        1.4, "how strongly rare winners are favoured; 0: no boosting", Number(0, single=True), per_trial=True
    )
    boost_strength_factor: float = key(
        0.7, "boost_strength is multiplied by it each epoch", Number(0, 1, single=True), per_trial=True
    )
    duty_cycle_period: int = key(1000, "examples over which the duty cycle runs", Whole(1))

    # The method: what is active, what is pruned, what grows
    model: str = key(
        "DSNNMixedHeb",
        "method; or a function from the settings of a trial to a Method",
        FUNCTIONS["model"],
    )
    model_hash: str | None = key(
        None,
        "hash of the source of a method's function; follows model, and must agree if given; None: model is a name",
        Optional(Text()),
        later=True,
    )
    rules: str = key(
        "fixed",
        "fixed: the method as it should be; legacy_2019: as the 2019 notebook ran it",
        Choice(("fixed", "legacy_2019")),
    )
    on_perc: float = key(
        0.1, "density: share of the weights that are active", Number(0, 1, low_open=True), per_trial=True
    )
    initial_density: float = key(
        1.0,
        "GraNet, CHTss: density at the start of the training, at least on_perc; 1: the network starts dense",
        Number(0, 1, low_open=True),
        per_trial=True,
        later=True,
    )
    global_floor: float | None = key(
        None,
        "GMP, GraNet: rank the weights of all layers together, and keep at least this density in each layer; None: "
        "each layer has its own density. SNIP, GraSP, SynFlow: keep at least this density in each layer; None: 0",
        Optional(FRACTION),
        per_trial=True,
        later=True,
    )
    backward_density: float = key(
        0.5,
        "TopKAST: share of the weights that are trained, at least on_perc; those beyond the share on_perc are inactive",
        Number(0, 1, low_open=True),
        per_trial=True,
        later=True,
    )
    score_examples: int = key(
        100,
        "SNIP, GraSP: number of training examples, at most all, on which the weights are scored before training; drawn "
        "by the seed",
        Whole(2),
        later=True,
    )
    sparse_type: str = key(
        "exact",
        "how the initial mask is drawn: exact: uniformly; exact_per_output: equally many inputs for each unit; "
        "bernoulli: each weight by itself; brf: receptive fields; csti, for multilayer perceptrons: where input "
        "features correlate",
        Choice("dynsparse.ops.masks:DRAWS"),
    )
    brf_randomness: float = key(
        0.3,
        "sparse_type='brf': 0: each unit gets the nearest inputs; 1: distance has no effect",
        FRACTION,
        later=True,
    )
    mask_pattern: str | None = key(
        None,
        "pattern of the active weights, which mask updates keep: N:M, such as 2:4: N of each M consecutive inputs of a "
        "unit (on_perc must be N/M); BxC, such as 4x4: whole blocks of B outputs and C inputs; None: any weights",
        Optional(MaskPattern()),
        later=True,
    )
    layer_densities: str = key(
        "uniform", "how on_perc is spread over layers", Choice("dynsparse.ops.densities:SPREADS")
    )
    first_layer_dense: bool = key(False, "leave the first layer dense", Flag())
    last_layer_dense: bool = key(False, "leave the last layer dense", Flag())
    dense_layers: tuple[str, ...] = key(
        (), "torch modules: names of other layers to leave dense, such as head", Several(Text(), least=0), later=True
    )
    redistribution: str | None = key(
        None,
        "methods that prune and grow at a constant density: the weights that an update prunes grow in the layers in "
        "proportion to the mean magnitude, or the mean gradient_momentum, of their active weights; None: each layer "
        "grows as many as it has lost",
        Optional(Choice("dynsparse.methods.redistribution:REDISTRIBUTIONS")),
        later=True,
    )
    weight_prune_perc: float | None = key(
        0.3,
        "drop fraction of the magnitude rule (the random rule for RandomPrune): share of the active weights that one "
        "mask update drops; with 0 or None the rule takes no part",
        Optional(FRACTION),
        per_trial=True,
    )
    hebbian_prune_perc: float | None = key(
        0.3,
        "drop fraction of the coactivation rule; if weight_prune_perc is above 0 too, a weight is dropped only if both "
        "rules drop it; with 0 or None the rule takes no part",
        Optional(FRACTION),
        per_trial=True,
    )
    hebbian_grow: bool = key(True, "grow where coactivation is highest, instead of at random", Flag(), per_trial=True)
    gradient_momentum: float = key(
        0.9, "SNFS: smoothing of the gradient, per step", Number(0, 1, high_open=True, single=True), per_trial=True
    )
    prune_gradient_weight: float = key(
        1.0,
        "MEST: factor of a weight's absolute gradient in the score abs(weight) + factor * abs(gradient)",
        Number(0, single=True),
        per_trial=True,
        later=True,
    )
    salient_share: float = key(
        0.3,
        "SRigL: a unit is ablated if fewer than this share of its inputs are salient; 0: none is",
        FRACTION,
        per_trial=True,
        later=True,
    )
    l1_drift: float = key(
        1e-5,
        "DeepR: after each optimizer step, a weight moves by this times the learning rate towards zero, and beyond",
        Number(0, single=True),
        per_trial=True,
        later=True,
    )
    weight_temperature: float = key(
        1e-10,
        "DeepR: after each optimizer step, normal noise of variance 2 * temperature * learning rate moves a weight",
        Number(0, single=True),
        per_trial=True,
        later=True,
    )
    overlap_limit: float = key(
        0.9,
        "CHT: the mask of a layer no longer changes after an update that grows more than this share of its weights "
        "where it has just pruned; 1: it always changes",
        FRACTION,
        per_trial=True,
        later=True,
    )
    removal_alpha: float = key(
        1.0,
        "CHTs, CHTss: 1: weights are kept by their magnitude; 0: by their magnitude relative to those of the same two "
        "units; between: see the method",
        FRACTION,
        per_trial=True,
        later=True,
    )
    removal_delta: float = key(
        0.75,
        "CHTs, CHTss: d at the last mask update, where a weight is kept with a probability proportional to "
        "importance^(d / (1 - d)); d is 0.5 at the start",
        Number(0.5, 1, high_open=True),
        per_trial=True,
        later=True,
    )
    selection_temperature: float = key(
        0.0,
        "SET, RigL, SNFS, MEST, DSNNHeb, DSNNWeightedMag: 0: weights of the highest scores are kept, and grown; above: "
        "they are drawn with probabilities proportional to score^(1 / temperature)",
        Number(0),
        later=True,
    )
    pruning_active: bool = key(True, "False: no mask updates", Flag())
    pruning_interval: int = key(1, "epochs from one mask update to the next", Whole(1))
    pruning_interval_steps: int | None = key(
        None,
        "optimizer steps from one mask update to the next, in place of pruning_interval; None: intervals are epochs",
        Optional(Whole(1)),
        later=True,
    )
    pruning_end: float = key(1.0, "share of the training after which mask updates end", FRACTION)
    pruning_end_step: int | None = key(
        None,
        "with pruning_interval_steps: optimizer step after which mask updates end, in place of pruning_end; None: "
        "pruning_end applies",
        Optional(Whole(1)),
        later=True,
    )
    prune_decay: str = key(
        "constant",
        "how the drop fraction falls: constant: it does not; cosine: along half a cosine, to 0 after the last mask "
        "update; cosine_0.1: as in version 0.1, to 0 at the last mask update, which drops nothing",
        Choice("dynsparse.ops.schedules:DECAYS"),
    )
    pruning_es: bool = key(False, "end mask updates once grown weights no longer survive", Flag())
    pruning_es_patience: int = key(0, "mask updates with low survival before they end", Whole(0))
    pruning_es_window_size: int = key(6, "mask updates over which survival is averaged", Whole(1))
    pruning_es_threshold: float = key(0.02, "survival below it is low", FRACTION)

    # The optimizer
    optim_alg: str = key("SGD", "optimizer", Choice("dynsparse.nn.optimizers:OPTIMIZERS"))
    batch_size: int = key(128, "examples per step", Whole(1))
    learning_rate: float = key(0.1, "step size of the optimizer", Number(0, single=True), per_trial=True)
    lr_schedule: str = key(
        "constant",
        "how the learning rate changes: multistep falls at lr_milestones, cosine and linear fall to lr_final",
        Choice("dynsparse.nn.lr_schedules:LR_SCHEDULES"),
        per_trial=True,
        later=True,
    )
    lr_milestones: tuple[int, ...] = key(
        (),
        "multistep: epochs after which the learning rate is multiplied by lr_gamma",
        Sizes(),
        per_trial=True,
        later=True,
    )
    lr_gamma: float = key(0.1, "multistep: factor of the learning rate", Number(0, 1), per_trial=True, later=True)
    lr_final: float = key(
        0.0,
        "cosine, linear: learning rate at the end, as a share of learning_rate",
        FRACTION,
        per_trial=True,
        later=True,
    )
    warmup_epochs: float = key(
        0.0,
        "epochs over which the learning rate rises from 0 to its full value, also after each pruning of a study",
        Number(0),
        per_trial=True,
        later=True,
    )
    momentum: float = key(0.9, "momentum of SGD", Number(0, 1, high_open=True, single=True), per_trial=True)
    nesterov: bool = key(False, "SGD: Nesterov momentum instead of heavy-ball momentum", Flag(), later=True)
    weight_decay: float = key(
        1e-4,
        "L2 penalty on weights and biases; AdamW subtracts it apart from the gradient",
        Number(0, single=True),
        per_trial=True,
    )
    clip_norm: float | None = key(
        None,
        "largest norm of the gradient in a step, over all parameters of the network; a larger gradient is scaled down "
        "to it; None: no limit",
        Optional(Number(0, low_open=True, single=True)),
        per_trial=True,
        later=True,
    )
    label_smoothing: float = key(
        0.0,
        "share of the target probability that is spread evenly over all classes, in training",
        Number(0, 1, high_open=True, single=True),
        per_trial=True,
        later=True,
    )
    class_weights: str | tuple[float, ...] | None = key(
        None,
        "factors of the loss of each class, in training; balanced: in inverse proportion to the number of its training "
        "examples; or a list with a number for each class; None: all classes count alike",
        Optional(Weights()),
        later=True,
    )

    # What is logged beside accuracies and losses
    debug_weights: bool = key(True, "mean and standard deviation of each layer's weights", Flag())
    debug_sparse: bool = key(True, "densities, mask updates and survival of each layer", Flag())

    def __post_init__(self) -> None:
        self._finish({name: value for name, value in vars(self).items() if value is not _defaults()[name]})

    def _finish(self, given: Mapping[str, Any]) -> None:
        """Convert the given values to their final types, fill in keys that follow others, and check for conflicts.

        Raises:
            ConfigError: As `Config`.
        """
        read, problems = _read(given)
        # Nothing else has a reference to this frozen Config yet.
        vars(self).update(read)
        if not problems:
            # Raises a ConfigError if own data cannot be read.
            vars(self).update(_derived_values(self))
            # Keys can be compared with each other only if each value is valid.
            problems = resolve(CONFLICTS)(self)
        if problems:
            raise ConfigError("\n".join(problems))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Config:
        """Create a Config from a mapping.

        Raises:
            ConfigError: As `Config`, and for unknown keys, with the known keys that are spelled most like them.
        """
        known = keys()
        problems = [unknown("key", name, known) for name in values if name not in known]
        given = {name: value for name, value in values.items() if name in known} if problems else values
        # The same as cls(**given), but faster: the generated __init__ sets one field at a time.
        config = object.__new__(cls)
        vars(config).update(_defaults(), **given)
        try:
            config._finish(given)
        except ConfigError as error:
            problems.append(str(error))
        if problems:
            raise ConfigError("\n".join(problems))
        return config

    @classmethod
    def saved(cls, values: Mapping[str, Any]) -> Config:
        """Return the Config of a trial's params.json, which an older version may have written.

        It imports the functions that `network` and `model` name, for their hashes. Code that only reads results takes
        the values of the file as they are.

        Raises: ConfigError.
        """
        current = in_current_terms(values)
        name, followers = current.get("dataset_name"), ("data_hash", "input_size", "num_classes")
        is_own = isinstance(name, str) and resolve(IS_OWN_DATA)(name)
        if is_own and any(current.get(each) is None for each in followers):
            # Reading the data could run code that somebody else has named in the file.
            raise ConfigError(
                f"The values of a saved trial with dataset_name={name!r} must have {', '.join(followers)}. Restore the "
                "file."
            )
        return cls.of(current)

    def values(self) -> dict[str, Any]:
        """Return all keys and values, as written to a trial's params.json."""
        # The fields are the only attributes, in the order of `keys`.
        return dict(vars(self))


def n_rows_copied(starts_from: str | None) -> int:
    """Return the number of rows that a trial with this `starts_from` has from another trial; 0 for None."""
    return 0 if starts_from is None else int(starts_from.partition("@")[2])


def check_of(each: Field[Any]) -> Check:
    """Return the check of a field of `Config`."""
    check: Check = each.metadata["check"]
    return check


@cache
def keys() -> Mapping[str, Field[Any]]:
    """Return the fields of `Config` by name."""
    # Cached because it is called many times per trial.
    return MappingProxyType({each.name: each for each in fields(Config)})


@cache
def _checks() -> Mapping[str, Check]:
    return {name: check_of(each) for name, each in keys().items()}


@cache
def _defaults() -> Mapping[str, Any]:
    return {name: each.default for name, each in keys().items()}


def in_current_terms(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a params.json in the terms of this version.

    Keys that came later get the values that describe what the trial did before they existed, and values that have been
    renamed their new names.
    """
    later = {name: each.metadata["absent"] for name, each in keys().items() if each.metadata["later"]}
    is_of_0_1 = "weight_init" not in values
    renamed = {name: new for name, (old, new) in RENAMED_SINCE_0_1.items() if is_of_0_1 and values.get(name) == old}
    return {**later, **values, **renamed}


def identity_values(config: Config) -> dict[str, Any]:
    """Return the values that identify what a trial computes, in the terms of the version that first had them.

    A key with the value that describes what trials did before the key existed is left out. Own data are identified by
    their hash, wherever they are.
    """
    left_out = {"dataset_name"} if resolve(IS_OWN_DATA)(config.dataset_name) else set()
    values = {**config.values(), **{name: without_folder(getattr(config, name)) for name in FUNCTIONS}}
    return {
        name: IDENTITY_NAMES.get(name, {}).get(value, value)
        for name, value in values.items()
        if name not in left_out and not (keys()[name].metadata["later"] and value == keys()[name].metadata["absent"])
    }


def _read(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values in their final types, and one message for each value that is not allowed."""
    read, problems, checks = {}, {}, _checks()
    for name, value in given.items():
        try:
            read[name] = checks[name].read(name, value)
        except ValueError as problem:
            problems[name] = str(problem)
    # In the order of the keys, whatever the order of the mapping.
    return read, [problems[name] for name in checks if name in problems] if problems else []


def is_default(config: Config, name: str) -> bool:
    """Return True if a key has its default, or the value that follows from other keys if it is left out."""
    following = _following(config)
    return bool(getattr(config, name) == following.get(name, keys()[name].default))


def _derived_values(config: Config) -> dict[str, Any]:
    """Return values for the keys that were left at None and follow others."""
    return {name: value for name, value in _following(config).items() if getattr(config, name) is None}


def function_hash(key: str, value: str) -> str | None:
    """Return the hash of the source of the function that a key of `FUNCTIONS` names; None for a name in its tables."""
    return None if value in FUNCTIONS[key].names() else source_hash(value)


def _following(config: Config) -> dict[str, Any]:
    """Return the values of the keys that follow others."""
    facts = resolve(DATA_FACTS)(config)
    return {
        "input_size": facts.input_size,
        "num_classes": facts.num_classes,
        "input_shape": facts.input_shape,
        "data_hash": facts.data_hash,
        "weight_init": WEIGHT_INIT_OF[config.rules],
        **{f"{name}_hash": function_hash(name, getattr(config, name)) for name in FUNCTIONS},
    }
