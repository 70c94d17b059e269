"""The plots of the studies that prune draw the numbers of pandas; and the images of weights."""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.browser import chromium, needs_chromium, settled
from support.study_folders import write_sweep, write_ticket

go = pytest.importorskip("plotly.graph_objects")

from analysis import agg, curves, load_history, rounds, sweeps, tickets  # noqa: E402
from analysis.plots import (  # noqa: E402
    plot_axis,
    plot_learning,
    plot_networks,
    plot_pruned_fractions,
    plot_rounds,
    plot_sweeps,
    plot_tickets,
    plot_weights,
)
from analysis.plots._lib.style import LINE_SCALE  # noqa: E402
from analysis.plots._lib.weight_image import MOST_CELLS, PALETTE, palette_index, shrunk, weight_image  # noqa: E402

SPARSITIES = [0, 0.5, 0.9, 0.99]
KINDS = ["unit", "weight"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Two data sets, three seeds; one trial has not come to the last sparsities of units."""
    path, rng = tmp_path_factory.mktemp("sweep"), np.random.default_rng(0)
    for n in range(6):
        values = {kind: rng.uniform(0.1, 0.98, 2 if n == 5 and kind == "unit" else 4).tolist() for kind in KINDS[::-1]}
        write_sweep(path / f"T_{n}", values, SPARSITIES, 0.9, seed=n % 3, dataset_name=["MNIST", "KMNIST"][n // 3])
    return load_history(path)


@pytest.fixture(scope="module")
def ticket(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Two algorithms, two ratios, one and two rounds, two seeds."""
    path, rng = tmp_path_factory.mktemp("ticket"), np.random.default_rng(0)
    for n in range(16):
        init, ratio, n_rounds, seed = ["original", "reinit"][n & 1], [0.75, 0.96][n >> 1 & 1], (n >> 2 & 1) + 1, n >> 3
        densities = [(1 - ratio) ** (i / n_rounds) + 0.01 * (i == n_rounds) for i in range(n_rounds + 1)]
        values = rng.uniform(0.8, 0.98, (n_rounds + 1, 2)).tolist()
        write_ticket(path / f"T_{n}", values, densities, init=init, prune_ratio=ratio, seed=seed)
    return load_history(path)


def lines(fig: go.Figure, meta: str, name: str, axis: str = "x") -> go.Scatter:
    (line,) = [each for each in fig.data if (each.meta, each.legendgroup, each.xaxis or "x") == (meta, name, axis)]
    return line


def title(fig: go.Figure) -> str:
    return str(fig.layout.title.text)


def test_sweeps_are_means_and_intervals_in_panels(sweep: pd.DataFrame) -> None:
    frame = sweeps(sweep)
    fig = plot_sweeps(frame)
    assert [each.text for each in fig.layout.annotations] == ["KMNIST", "MNIST"]
    panels = {("val_acc", "KMNIST"): "x", ("val_acc", "MNIST"): "x2", ("val_loss", "KMNIST"): "x3"}
    for (metric, dataset), axis in panels.items():
        for kind in KINDS:
            own = frame[(frame["dataset_name"] == dataset) & (frame["pruning"] == kind)]
            expected = agg(own, "sparsity", metric)
            line, band = lines(fig, "means", kind, axis), lines(fig, "band", kind, axis)
            assert list(line.x) == pytest.approx((1 - expected["sparsity"]).tolist())
            assert list(line.y) == pytest.approx(expected["mean"].tolist())
            assert list(band.y) == pytest.approx([*expected["high"], *expected["low"][::-1]])
    assert [each.name for each in fig.data if each.showlegend] == KINDS
    assert fig.layout.xaxis.autorange == "reversed" and fig.layout.xaxis.type == "log"
    assert list(fig.layout.xaxis.ticktext) == ["0.99", "0.9", "0.5", "0"] and fig.layout.yaxis3.title.text == "val_loss"
    assert "46 of 48 rows shown; left out: 2 incomplete" in title(fig) and "means are over seed (3 values)" in title(
        fig
    )
    # All is pruned at sparsity 1, which no logarithm shows.
    whole = plot_sweeps(frame.assign(sparsity=frame["sparsity"].replace(0.99, 1.0)), metrics=["val_acc"])
    assert whole.layout.xaxis.type == "linear" and min(lines(whole, "means", "unit").x) == 0


def test_the_plots_of_trials_take_a_sweep(sweep: pd.DataFrame) -> None:
    fig = plot_axis(sweeps(sweep), "sparsity", "val_acc", by=["dataset_name", "pruning"])
    assert "46 of 48 trials shown; left out: 2 incomplete" in title(fig)
    assert "means are over seed (3 values)</span>" in title(fig), "and over nothing that was measured"


def test_learning_curves_end_where_pruning_begins(sweep: pd.DataFrame, ticket: pd.DataFrame) -> None:
    fig = plot_learning(sweep)
    assert "6 trials" in title(fig) and [each.name for each in fig.data if each.showlegend] == ["train", "val"]
    before = sweep[sweep["pruning"].isna() & (sweep["dataset_name"] == "MNIST")]
    for on, quantity, axis in [("train", "acc", "x2"), ("val", "loss", "x4")]:
        expected = curves(before, [], f"{on}_{quantity}")
        line = lines(fig, "means", on, axis)
        assert list(line.x) == [1, 2] and list(line.y) == pytest.approx(expected["mean"].tolist())
    line = lines(plot_learning(ticket), "means", "val")
    assert list(line.x) == [1, 2] and line.y[1] == ticket.loc[ticket["epoch"] == 2, "val_acc"].mean()


def test_requested_and_actual_fractions(ticket: pd.DataFrame) -> None:
    fig = plot_pruned_fractions(rounds(ticket))
    assert "the same in all trials" in title(fig)
    for n_rounds in ("1", "2"):
        line, below = lines(fig, "actual", n_rounds), lines(fig, "difference", n_rounds, "x2")
        assert list(line.x) == pytest.approx([0.75, 0.96]) and list(line.y) == pytest.approx([0.74, 0.95])
        assert list(below.y) == pytest.approx([-0.01, -0.01])


def test_tickets_by_fraction_and_rounds_against_the_dense(ticket: pd.DataFrame) -> None:
    df, frame = tickets(ticket), rounds(ticket)
    fig = plot_tickets(df)
    assert [each.text for each in fig.layout.annotations] == ["prune_iter=1", "prune_iter=2"]
    own = df[(df["prune_iter"] == 2) & (df["init"] == "reinit")]
    line = lines(fig, "means", "l1, reinit", "x2")
    assert list(line.x) == pytest.approx([0.25, 0.04])
    assert list(line.y) == pytest.approx(own.groupby("prune_ratio")["val_acc_max"].mean().tolist())
    part = frame[(frame["prune_iter"] == 2) & (frame["prune_ratio"] == 0.96)]
    fig = plot_rounds(part)
    expected = part[part["init"] == "original"].groupby("round")[["val_acc_max", "pruned"]].mean()
    line = lines(fig, "means", "original")
    assert list(line.x) == pytest.approx((1 - expected["pruned"]).tolist())
    assert list(line.y) == pytest.approx(expected["val_acc_max"].tolist())
    (level,) = fig.layout.shapes
    assert level.y0 == level.y1 == pytest.approx(part.loc[part["round"] == 0, "val_acc_max"].mean())
    assert list(fig.layout.xaxis.ticktext)[-1] == "0"


def decoded(source: str) -> np.ndarray:
    content = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_an_image_has_a_block_of_pixels_for_each_weight() -> None:
    weights = np.array([[0.0, -1.0, 1.0], [0.5, 0.0, -0.25]])
    image = weight_image(weights, 1.0)
    assert image.size == (300, 300)
    blocks = np.asarray(image.convert("RGB")).reshape(2, 150, 3, 100, 3)
    assert (blocks == PALETTE[palette_index(weights, 1.0)][:, None, :, None]).all()
    file = io.BytesIO()
    image.save(file, "PNG")
    assert file.getvalue()[24] == 4, "bits for each pixel, as the PNG specification places them"


def test_only_exact_zeros_are_white() -> None:
    numbers = np.array([[0.0, 1e-30, -1e-30], [-2.0, 0.5, 9.0]])
    colours = PALETTE[palette_index(numbers, 1.0)]
    assert (colours == 255).all(-1).tolist() == [[True, False, False], [False, False, False]]
    assert colours[0, 1].tolist() == colours[0, 2].tolist() == [0x9A] * 3, "tiny ones are grey, whatever their sign"
    ends = [[int(scale[1][i : i + 2], 16) for i in (1, 3, 5)] for scale in (LINE_SCALE[0], LINE_SCALE[-1])]
    assert [colours[1, 0].tolist(), colours[1, 2].tolist()] == ends
    assert len(PALETTE) == 16, "four bits"


def test_pruned_units_are_white_rows() -> None:
    rng = np.random.default_rng(0)
    weights, biases = rng.normal(size=(1000, 784)), rng.normal(size=1000)
    pruned = [17, 500, 501, 999]
    weights[pruned], biases[pruned] = 0, 0
    weights[:, 3] = 0
    fig = plot_weights([weights, rng.normal(size=(10, 1000))], [biases, np.ones(10)])
    image, of_biases = (decoded(fig.layout.images[i].source) for i in (0, 1))
    is_white = (image == 255).all(-1)
    assert image.shape == (1000, 784, 3) and is_white.all(1).nonzero()[0].tolist() == pruned
    assert is_white.all(0).nonzero()[0].tolist() == [3]
    assert (of_biases == 255).all(-1).all(1).nonzero()[0].tolist() == pruned
    first, second = fig.layout.images[:2]
    assert second.x > first.x + first.sizex and fig.layout.xaxis.range[1] == pytest.approx(second.x + second.sizex)
    assert fig.layout.annotations[0].text == "layer 0: 1000 × 784, 99% not zero"
    # A small layer has cells of whole pixels, so that no browser mixes them.
    small = decoded(fig.layout.images[2].source)
    assert small.shape == (300, 1000, 3) and (small[0] == small[29]).all() and (small[29] != small[30]).any()


def test_large_layers_make_small_files() -> None:
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=(1000, 1000)) for _ in range(3)]
    assert len(plot_weights(layers).to_json()) < 2_500_000
    assert shrunk(np.ones((MOST_CELLS, 3))).shape == (MOST_CELLS, 3)
    blocks = np.zeros((2 * MOST_CELLS, 2))
    blocks[:2, 0], blocks[2, 0], blocks[4:6, 1] = [1.0, 3.0], 4.0, -2.0
    found = shrunk(blocks)
    # Of two: both, one, none.
    assert found.shape == (MOST_CELLS, 2) and found[:3].tolist() == [[2, 0], [0, 0], [0, -2]]


def test_several_networks_are_drawn_below_each_other() -> None:
    before = ([np.ones((4, 3)), np.ones((2, 4))], [np.ones(4), np.ones(2)])
    fig = plot_networks({"trained": before, "compressed": ([np.ones((2, 3))], None)})
    assert [fig.layout.yaxis.title.text, fig.layout.yaxis3.title.text] == ["trained", "compressed"]
    assert len(fig.layout.images) == 5 and fig.layout.xaxis4.visible is False
    assert "the colours end at ±1," in title(fig)
    assert plot_weights([np.zeros((2, 2))]).layout.images[0].source, "nothing but zeros"


@pytest.mark.parametrize(
    ("layers", "biases", "message"),
    [
        ([], None, "Nothing to plot: no network has a layer"),
        ([np.ones(3)], None, r"Layer 0 must be an array of shape \(out, in\), got shape \(3,\)\."),
        ([np.ones((2, 3))], [], r"biases must be 1 arrays, one for each layer, got 0\."),
        ([np.ones((2, 3))], [np.ones(3)], r"The biases of layer 0 must have shape \(2,\), got \(3,\)\."),
    ],
)
def test_messages_on_shapes_of_weights(layers: list[np.ndarray], biases: list[np.ndarray] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_weights(layers, biases)


def test_nothing_to_draw(sweep: pd.DataFrame, ticket: pd.DataFrame) -> None:
    frame, df = sweeps(sweep), tickets(ticket)
    for call, message in [
        (lambda: plot_sweeps(frame.assign(status="incomplete")), "no complete row has a value of val_acc, val_loss"),
        (lambda: plot_sweeps(frame, metrics=["val_accuracy"]), r"Unknown column 'val_accuracy'"),
        (lambda: plot_tickets(df.assign(status="incomplete")), "no complete row has a value of val_acc_max"),
        (lambda: plot_rounds(rounds(ticket), "val_loss"), "Unknown column 'val_loss'"),
        (lambda: plot_learning(sweep.drop(columns=["train_acc", "val_acc"])), "no complete row has a value of acc"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


@needs_chromium
def test_a_browser_draws_them(sweep: pd.DataFrame, ticket: pd.DataFrame, tmp_path: Path) -> None:
    figures = [plot_sweeps(sweeps(sweep)), plot_rounds(rounds(ticket)), plot_weights([np.eye(20)], [np.ones(20)])]
    page_of = tmp_path / "page.html"
    parts = [fig.to_html(full_html=False, include_plotlyjs=i == 0) for i, fig in enumerate(figures)]
    page_of.write_text(f"<!DOCTYPE html><meta charset=utf-8>{''.join(parts)}")
    with chromium() as page:
        page.goto(page_of.as_uri())
        settled(page)
        assert not page.errors and page.locator("svg image").count() == 2
        assert page.locator(".legendtext").all_text_contents()[:2] == KINDS
