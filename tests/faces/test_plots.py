"""Pictures: oracle is the documented contract, checked on the drawn figure and on the pixels of the PNG."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from support.drawn import captions, digits_weight, legend, pixels, shown
from twofold.errors import DataError, RunError
from twofold.plots import canvas
from twofold.plots import panels as plots
from twofold.plots.colors import POSITIVE, TWIN
from twofold_lab.claims import regime
from twofold_lab.lab import Lab


def run_of(epochs: int, layers: int = 2) -> list[dict[str, Any]]:
    return [
        {
            "epoch": e + 1,
            "train_error": 0.1 * 0.9**e,
            "validation_error": {"slow": 0.12 * 0.95**e, "fast": 0.15 * 0.95**e},
            "rate": 0.001 * (1 - e / epochs),
            "layers": [{"positive": 1.1 + 0.1 * layer, "negative": 0.9 - 0.1 * layer} for layer in range(layers)],
        }
        for e in range(epochs)
    ]


# Goodness


def test_the_shares_are_those_on_the_right_side_of_the_threshold(tmp_path: Path, figures: list[Figure]) -> None:
    """A case exactly at the threshold is not above it, and the two kinds may differ in number."""
    plots.goodness_by_layer([[1.0, 2.0, 3.0, 4.0]], [torch.tensor([0.0, 2.0, 5.0])], [2.0], tmp_path / "goodness.png")
    assert legend(shown(figures[0])[0]) == ["negative: 66.7 % below", "positive: 50.0 % above", "threshold 2"]


def test_the_bars_of_each_kind_add_up_to_all_cases_and_no_bar_crosses_the_threshold(
    tmp_path: Path, figures: list[Figure]
) -> None:
    generator = torch.Generator().manual_seed(0)
    high, low = 1 + torch.rand(500, generator=generator), 2 * torch.rand(300, generator=generator)
    plots.goodness_by_layer([high], [low], [1.3], tmp_path / "goodness.png")
    for patch, kind in zip(shown(figures[0])[0].patches, (low, high), strict=True):
        x, y = patch.get_xy().T
        corners = range(1, len(x) - 1)
        bars = {(x[i], x[i + 1]): y[i] for i in corners if x[i + 1] > x[i] and y[i] > 0}
        left = sum(height for (start, end), height in bars.items() if end <= 1.3 + 1e-9)
        assert sum(bars.values()) == pytest.approx(100)
        assert left == pytest.approx(100 * (kind.double() <= 1.3).double().mean().item())


@pytest.mark.parametrize("value", [0.0, 2.0, 1e-12, 1e6])
def test_goodness_that_is_the_same_for_all_cases_is_drawn(tmp_path: Path, figures: list[Figure], value: float) -> None:
    """So it is in a net that has just been made with zero weights, or has collapsed."""
    plots.goodness_by_layer([[value] * 5], [[value] * 5], [value], tmp_path / "goodness.png")
    assert legend(shown(figures[0])[0])[:2] == ["negative: 100.0 % below", "positive: 0.0 % above"]


@pytest.mark.slow
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5, 7])
def test_there_is_a_panel_for_each_layer(tmp_path: Path, figures: list[Figure], layers: int) -> None:
    plots.goodness_by_layer([[2.0, 3.0]] * layers, [[0.0]] * layers, torch.ones(layers), tmp_path / "goodness.png")
    assert captions(figures[0]) == [f"Layer {layer + 1}" for layer in range(layers)]


@pytest.mark.parametrize(
    ("positive", "negative", "threshold"),
    [([], [], []), ([[1.0]], [[1.0]], [1.0, 2.0]), ([[1.0]], [[]], [1.0]), ([[float("nan")]], [[1.0]], [1.0])],
)
def test_goodness_that_cannot_be_drawn_is_told(
    tmp_path: Path, positive: Any, negative: Any, threshold: list[float]
) -> None:
    with pytest.raises(DataError):
        plots.goodness_by_layer(positive, negative, threshold, tmp_path / "goodness.png")


# Learning curves


def test_errors_are_in_percent_and_the_legend_has_the_last_ones(tmp_path: Path, figures: list[Figure]) -> None:
    plots.learning_curves(run_of(3), tmp_path / "curves.png")
    error = shown(figures[0])[0]
    assert legend(error) == ["training: 8.10 %", "slow: 10.83 %", "fast: 13.54 %"]
    np.testing.assert_allclose(error.lines[0].get_ydata(), [10, 9, 8.1])
    np.testing.assert_array_equal(error.lines[0].get_xdata(), [1, 2, 3])


@pytest.mark.parametrize(("last", "scale"), [(0.02, "linear"), (0.005, "log")])
def test_the_error_axis_is_logarithmic_only_beyond_a_decade(
    tmp_path: Path, figures: list[Figure], last: float, scale: str
) -> None:
    plots.learning_curves([{"epoch": 1, "train_error": 0.1}, {"epoch": 2, "train_error": last}], tmp_path / "c.png")
    assert shown(figures[0])[0].get_yscale() == scale


def test_an_error_of_zero_does_not_spoil_the_logarithmic_axis(tmp_path: Path, figures: list[Figure]) -> None:
    errors = [0.5, 0.01, 0.0]
    plots.learning_curves([{"epoch": e, "train_error": error} for e, error in enumerate(errors)], tmp_path / "c.png")
    error = shown(figures[0])[0]
    assert error.get_yscale() == "log"
    assert 0.5 < error.get_ylim()[0] < 1
    assert -np.inf < error.transData.transform((2, 0))[1] < error.transAxes.transform((0, 0))[1], (
        "the line does not fall out"
    )


def test_goodness_is_solid_for_positive_and_dashed_for_negative_data(tmp_path: Path, figures: list[Figure]) -> None:
    plots.learning_curves(run_of(4, layers=2), tmp_path / "curves.png")
    lines = {line.get_label(): line for line in shown(figures[0])[1].lines}
    assert lines["layer 2 positive"].get_linestyle() == "-"
    assert lines["layer 2 negative"].get_linestyle() == "--"
    np.testing.assert_allclose(lines["layer 2 positive"].get_ydata(), [1.2] * 4)
    np.testing.assert_allclose(lines["layer 1 negative"].get_ydata(), [0.9] * 4)
    assert lines["layer 2 positive"].get_color() == pytest.approx(to_rgb(POSITIVE))
    assert any(np.allclose(line.get_ydata(), 1) and line.get_label().startswith("_") for line in lines.values())


def test_a_run_without_layers_shows_its_loss(tmp_path: Path, figures: list[Figure]) -> None:
    run = [{"epoch": e, "train_error": 0.1, "loss": 2.0 - e, "layers": []} for e in range(2)]
    plots.learning_curves(run, tmp_path / "curves.png")
    assert captions(figures[0])[1] == "Loss"
    np.testing.assert_array_equal(shown(figures[0])[1].lines[0].get_ydata(), [2, 1])


def test_the_twin_is_grey_and_only_in_the_panels_where_it_compares(tmp_path: Path, figures: list[Figure]) -> None:
    twin = [{"epoch": e, "train_error": 0.05, "loss": 1.0, "rate": 0.02 / e} for e in (1, 2)]
    plots.learning_curves(run_of(4), tmp_path / "curves.png", twin=twin)
    error, goodness, rate = shown(figures[0])
    assert legend(error)[-1] == "twin, training: 5.00 %"
    assert error.lines[-1].get_color() == rate.lines[-1].get_color() == TWIN
    assert TWIN not in [line.get_color() for line in goodness.lines]
    assert legend(rate) == ["peak 0.001", "twin, peak 0.02"]
    np.testing.assert_allclose(rate.lines[-1].get_ydata(), [100, 50])


def test_epochs_without_a_validation_are_skipped_not_drawn_as_zero(tmp_path: Path, figures: list[Figure]) -> None:
    run = run_of(4)
    run[0].pop("validation_error")
    run[2]["validation_error"] = {}
    plots.learning_curves(run, tmp_path / "curves.png")
    np.testing.assert_array_equal(shown(figures[0])[0].lines[1].get_xdata(), [2, 4])


def test_a_run_of_one_epoch_is_seen_as_points_and_empty_panels_are_left_out(
    tmp_path: Path, figures: list[Figure]
) -> None:
    plots.learning_curves([{"epoch": 1, "train_error": 0.3}], tmp_path / "curves.png")
    (error,) = shown(figures[0])
    assert error.lines[0].get_marker() == "o"


def test_a_run_of_no_epoch_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="metrics is empty"):
        plots.learning_curves([], tmp_path / "curves.png")


# Mistakes


def test_only_mistakes_are_drawn_and_the_largest_margin_comes_first(tmp_path: Path, figures: list[Figure]) -> None:
    labels, predicted, margin = [3, 4, 5, 6], [8, 4, 6, 0], [0.5, 9.0, 2.0, 1.0]
    images = torch.arange(4.0)[:, None, None, None].expand(4, 1, 8, 8)
    plots.worst_mistakes(images, labels, predicted, margin, tmp_path / "mistakes.png", most=2)
    assert captions(figures[0]) == ["5 → 6", "6 → 0"]
    assert [ax.get_xlabel() for ax in shown(figures[0])] == ["by 2.00", "by 1.00"]
    assert [float(ax.images[0].get_array()[0, 0]) for ax in shown(figures[0])] == pytest.approx([2 / 3, 1])
    assert (
        figures[0].get_suptitle().replace("\n", " ") == "3 mistakes in 4 cases (75.00 %), the 2 with the largest margin"
    )


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 8), (1, 28, 28), (3, 32, 32)])
def test_at_most_forty_mistakes_are_drawn(tmp_path: Path, figures: list[Figure], shape: tuple[int, ...]) -> None:
    images = torch.rand(50, *shape, generator=torch.Generator().manual_seed(0))
    path = plots.worst_mistakes(images, [0] * 50, [1] * 50, torch.ones(50), tmp_path / "mistakes.png")
    assert len(shown(figures[0])) == 40
    assert pixels(path).std() > 10


def test_without_a_mistake_the_picture_says_so(tmp_path: Path, figures: list[Figure]) -> None:
    path = plots.worst_mistakes(torch.zeros(7, 8, 8), [1] * 7, [1] * 7, torch.zeros(7), tmp_path / "mistakes.png")
    assert [text.get_text() for text in figures[0].texts] == ["No mistakes in 7 cases"]
    assert pixels(path).min() < 100, "the words cannot be seen"


def test_images_of_one_brightness_are_drawn(tmp_path: Path) -> None:
    path = plots.worst_mistakes(torch.ones(2, 8, 8), [1, 1], [2, 2], [1.0, 1.0], tmp_path / "mistakes.png")
    assert pixels(path).size


def test_cases_that_do_not_match_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="margin"):
        plots.worst_mistakes(torch.zeros(3, 8, 8), [1] * 3, [1] * 3, [0.0] * 2, tmp_path / "mistakes.png")
    with pytest.raises(DataError, match="images"):
        plots.worst_mistakes(torch.zeros(3, 64), [1] * 3, [1] * 3, [0.0] * 3, tmp_path / "mistakes.png")


# Files


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    """Else a picture kept under version control would change with every run."""
    first, second = (plots.learning_curves(run_of(3), tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second


def test_half_precision_tensors_that_ask_for_a_gradient_are_drawn_as_they_are(tmp_path: Path) -> None:
    weight = digits_weight().to(torch.bfloat16)
    one = plots.receptive_fields(weight.requires_grad_(), (1, 8, 8), range(10), tmp_path / "a.png", 10, units=10)
    two = plots.receptive_fields(
        weight.detach().float().numpy(), (1, 8, 8), range(10), tmp_path / "b.png", 10, units=10
    )
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_no_text_is_cut_off_at_the_border(tmp_path: Path) -> None:
    paths = [
        plots.learning_curves(run_of(20, layers=4), tmp_path / "a.png", twin=run_of(9, layers=0)),
        plots.goodness_by_layer([[1.0, 2.0]] * 3, [[0.0]] * 3, [0.5] * 3, tmp_path / "b.png"),
        plots.worst_mistakes(torch.rand(1, 8, 8), [1], [2], [1.0], tmp_path / "c.png"),
        plots.receptive_fields(digits_weight(4, 192), (3, 8, 8), range(10), tmp_path / "d.png", 10),
        plots.receptive_fields(digits_weight(4, 67), (1, 8, 8), range(3), tmp_path / "e.png", 3),
    ]
    for path in paths:
        picture = pixels(path)
        for edge in (picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]):
            assert (edge == 255).all(), f"something touches the border of {path.name}"


def test_a_failed_write_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plots.learning_curves(run_of(3), tmp_path / "curves.png")
    before = path.read_bytes()

    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space left"):
        plots.learning_curves(run_of(5), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]
    Image.open(BytesIO(before)).verify()


def test_drawing_leaves_the_global_state_of_matplotlib_alone(tmp_path: Path) -> None:
    import matplotlib
    from matplotlib import _pylab_helpers

    before = dict(matplotlib.rcParams)
    plots.learning_curves(run_of(3), tmp_path / "curves.png")
    assert dict(matplotlib.rcParams) == before
    assert not _pylab_helpers.Gcf.figs


def test_the_map_of_regimes_has_both_errors_in_each_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(canvas, "write", lambda figure, path: (drawn.append(figure), path)[1])
    ours = {
        "10": {"a": {"mean": 20.0, "std": 1.0}, "b": {"mean": 19.5, "std": 1.0}},
        "all": {"a": {"mean": 3.0, "std": 0.0}, "b": {"mean": 1.5, "std": 0.0}},
    }
    twins = {
        "10": {"a": {"mean": 30.0, "std": 1.0}, "b": {"mean": 24.0, "std": 1.0}},
        "all": {"a": {"mean": 1.5, "std": 0.0}, "b": {"mean": 1.5, "std": 0.0}},
    }
    record = {"measured": {"slow error %": ours}, "twin": {"fast error %": twins}}
    regime.picture(record, tmp_path / "map.png", Lab())
    ax = drawn[0].axes[0]
    assert [text.get_text() for text in ax.texts] == ["20.00 : 30.00", "19.50 : 24.00", "3.00 : 1.50", "1.50 : 1.50"]
    np.testing.assert_allclose(ax.images[0].get_array(), [[2 / 3, 19.5 / 24], [2, 1]])
    blue, grey, even = (ax.images[0].to_rgba(np.array([[ratio]]))[0, 0, :3] for ratio in (0.4, 2.5, 1.0))
    assert blue[2] - blue[0] > 0.3
    assert np.ptp(grey) < 0.02
    np.testing.assert_allclose(even, 1, atol=0.01)


def test_letters_that_the_font_lacks_are_no_warning_to_anyone(tmp_path: Path) -> None:
    figure, [[axes]] = canvas.subplots(1, 1, 3.0, 3.0)
    canvas.label_axes(axes, "猫", "犬", "鳥")
    assert canvas.write(figure, tmp_path / "cat.png").exists()
