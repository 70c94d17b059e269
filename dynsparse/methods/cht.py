"""CHT: Cannistraci-Hebb training, which grows links that the topology of a layer predicts."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from dynsparse.methods.base import Grow, Method, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops import masks
from dynsparse.ops.link_prediction import ch3_l3
from dynsparse.ops.scores import Layer, magnitude


def cht(config: MethodSettings) -> Method:
    """Prune the smallest weights; grow the links that the paths of active weights predict, without any gradient.

    Prune: the round(weight_prune_perc * s * n) active weights with the smallest |w|. In networks whose layers follow
    each other, then all weights of hidden units that no path of active weights links with an input and an output.
    Grow: as many inactive positions, those with the highest CH3-L3 score of the layer that is left: see
    `dynsparse.ops.link_prediction`. A position that has just been pruned may grow again; then its weight stays. With
    two layers or more, units that have lost all of their weights seldom come back, and hidden layers shrink.

    The mask of a layer no longer changes after an update in which more than overlap_limit of the positions that grow
    are those that it has just pruned.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that a mask update drops, in [0, 1].
        overlap_limit: share of grown positions that were just pruned, in [0, 1]. With 1, updates do not end.

    The time of a mask update grows as the square of the number of active weights of a layer: `CHTs` is faster.

    Differences from the paper: the paper draws the masks by the correlation of the inputs (set sparse_type="csti"), and
    weights with a variance of 2 over the number of active inputs (set weight_init="he_normal"). Among links of equal
    score it ranks by paths of a weighted graph; here, and in its published code, chance decides. A hidden unit without
    paths keeps its bias.

    Reference:
        Yingtao Zhang, Jialin Zhao, Wenjing Wu, Alessandro Muscoloni and Carlo Vittorio Cannistraci, Epitopological
        Learning and Cannistraci-Hebb Network Shape Intelligence Brain-Inspired Theory for Ultra-Sparse Advantage in
        Deep Learning, 2024, https://openreview.net/forum?id=iayEcORsGd; published code:
        https://github.com/biomedical-cybernetics/Cannistraci-Hebb-training
    """
    return Method(
        config.on_perc,
        lowest(magnitude, config.weight_prune_perc),
        predicted(ch3_l3),
        prune_ignores_position=True,
        drops_cut_off=True,
        overlap_limit=config.overlap_limit,
    )


def predicted(link_score: Callable[[Tensor], Tensor], *, is_drawn: bool = False) -> Grow:
    """Return the rule that grows the missing links of the highest score, up to the layer's target.

    Args:
        link_score: a function of `dynsparse.ops.link_prediction`.
        is_drawn: links are drawn with probabilities proportional to their scores; those of score 0 come last.
    """

    def grow(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
        missing = ~kept
        # A layer that is left dense takes back all that it has dropped, whatever the scores.
        has_choice = (n_grow > 0) & (n_grow < masks.count(missing))
        score = layer.pattern.mean(link_score(kept & has_choice[..., None, None]))
        if is_drawn:
            score = masks.drawn(score, 1.0, layer.grow_noise)
        return layer.pattern.highest(score, kept, n_grow, layer.grow_noise, among=missing)

    return grow
