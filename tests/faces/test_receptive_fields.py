"""Pictures of receptive fields: what a unit sees is drawn where it sees it, and the label is not taken for a stroke."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from support.drawn import captions, digits_weight, pixels, shown
from twofold.errors import DataError
from twofold.layers.fields import Fields
from twofold.plots import canvas
from twofold.plots import local_fields as plots_local
from twofold.plots import panels as plots
from twofold.plots.colors import BLANK


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("beside", [False, True])
def test_receptive_fields_of_every_data_set_are_a_png_of_the_size_of_the_figure(
    tmp_path: Path, figures: list[Figure], shape: tuple[int, int, int], beside: bool
) -> None:
    weight = digits_weight(60, int(np.prod(shape)) + 10 * beside)
    path = plots.receptive_fields(weight, shape, torch.arange(10), tmp_path / "fields.png", 10, units=10)
    inches = figures[0].get_size_inches()
    assert path == tmp_path / "fields.png"
    assert pixels(path).shape == (int(inches[1] * canvas.DPI), int(inches[0] * canvas.DPI), 3)


def test_label_pixels_are_blank_in_the_field_and_nothing_else_is(tmp_path: Path, figures: list[Figure]) -> None:
    """Else the huge label weights would be read as a stroke at the top of the digit, and set the scale of the rest."""
    weight = digits_weight()
    weight[:, :10] *= 1000
    path = plots.receptive_fields(weight, (1, 8, 8), range(10), tmp_path / "fields.png", 10, units=10)
    for place in shown(figures[0]):
        image = place.images[0]
        field = image.get_array()
        assert field.mask.ravel().tolist() == [True] * 10 + [False] * 54
        assert image.get_clim()[1] == pytest.approx(np.abs(field.compressed()).max()), "the label sets the scale"
    blank = np.round(255 * np.array(to_rgb(BLANK)))
    seen = (pixels(path) == blank).all(axis=-1).sum()
    whole = len(shown(figures[0])) * (1.0 * canvas.DPI) ** 2  # a field is larger than an inch
    assert seen > whole * 10 / 64, "the label pixels are not seen as blank in the PNG"


def test_label_pixels_of_a_color_picture_are_white(tmp_path: Path, figures: list[Figure]) -> None:
    plots.receptive_fields(digits_weight(40, 192), (3, 8, 8), range(10), tmp_path / "fields.png", 10, units=10)
    field = shown(figures[0])[0].images[0].get_array()
    assert (field.reshape(64, 3)[:10] == 1).all()
    assert (field.reshape(64, 3)[10:] != 1).any(axis=1).all()


def test_extra_label_inputs_leave_the_whole_picture_to_be_drawn(tmp_path: Path, figures: list[Figure]) -> None:
    """Off by the label's columns, every row of the field would be shifted against the digits it responds to."""
    weight = digits_weight(10, 10 + 64)
    weight[:, :10] = torch.eye(10)
    plots.receptive_fields(weight, (1, 8, 8), torch.arange(10), tmp_path / "fields.png", 10)
    for unit, place in enumerate(shown(figures[0])):
        field = place.images[0].get_array()
        assert not np.ma.getmaskarray(field).any()
        np.testing.assert_allclose(field.ravel(), weight[unit, 10:].numpy(), rtol=1e-6)


def test_the_strip_has_the_label_weights_in_the_order_of_the_classes(tmp_path: Path, figures: list[Figure]) -> None:
    weight = digits_weight(10)
    columns = torch.arange(63, 53, -1)  # not in the order of the pixels
    weight[:, columns] = torch.eye(10)[torch.randperm(10, generator=torch.Generator().manual_seed(1))]
    plots.receptive_fields(weight, (1, 8, 8), columns, tmp_path / "fields.png", 10)
    places = shown(figures[0])
    assert captions(figures[0]) == [f"prefer {digit}" for digit in range(10)]
    for digit, place in enumerate(places):
        strip = place.child_axes[0]
        np.testing.assert_array_equal(strip.images[0].get_array()[0], np.eye(10)[digit])
        assert [text.get_text() for text in strip.texts] == [str(number) for number in range(10)]
        assert [number for number, text in enumerate(strip.texts) if text.get_color() == "white"] == [digit]


def test_scales_are_symmetric_so_that_white_is_zero(tmp_path: Path, figures: list[Figure]) -> None:
    plots.receptive_fields(digits_weight() + 3, (1, 8, 8), range(10), tmp_path / "fields.png", 10, units=10)
    for place in shown(figures[0]):
        for image in (place.images[0], place.child_axes[0].images[0]):
            low, high = image.get_clim()
            assert low == -high < 0


def test_the_units_with_the_clearest_preference_come_first_in_the_column_of_their_class(
    tmp_path: Path, figures: list[Figure]
) -> None:
    weight = torch.zeros(5, 10 + 64)
    weight[:, 10:] = torch.arange(5.0)[:, None] + 1  # tells the units apart
    weight[[0, 1, 2], 7] = torch.tensor([1.0, 3.0, 2.0])
    weight[[3, 4], 2] = torch.tensor([1.0, 5.0])
    plots.receptive_fields(weight, (1, 8, 8), range(10), tmp_path / "fields.png", 10, units=20)
    drawn = [float(place.images[0].get_array()[0, 0]) - 1 for place in shown(figures[0])]
    assert drawn == [4, 1, 3, 2], "first row: the clearest of class 2 and of class 7; second row: the next ones"


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 5, 10, 12, 54])
def test_no_more_units_are_drawn_than_asked_for(tmp_path: Path, figures: list[Figure], classes: int) -> None:
    weight = digits_weight(100, classes + 64)
    plots.receptive_fields(weight, (1, 8, 8), range(classes), tmp_path / "fields.png", classes, units=24)
    assert classes <= len(shown(figures[0])) <= 24 or classes > 24 == len(shown(figures[0]))


def test_a_unit_without_weights_is_drawn(tmp_path: Path) -> None:
    plots.receptive_fields(torch.zeros(3, 64), (1, 8, 8), range(10), tmp_path / "fields.png", 10)
    assert pixels(tmp_path / "fields.png").size


@pytest.mark.parametrize(
    ("weight", "shape", "columns", "says"),
    [
        (torch.zeros(3, 65), (1, 8, 8), range(10), "does not fit"),
        (torch.zeros(0, 64), (1, 8, 8), range(10), "does not fit"),
        (torch.zeros(3, 128), (2, 8, 8), range(10), "1 or 3 channels"),
        (torch.zeros(3, 64), (1, 8, 8), range(9), "one column per class"),
        (torch.zeros(3, 64), (1, 8, 8), range(60, 70), "from 0 to 63"),
        (torch.zeros(3, 64), (1, 8, 8), [0] * 10, "different"),
    ],
)
def test_shapes_that_do_not_fit_are_told(tmp_path: Path, weight: Any, shape: Any, columns: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        plots.receptive_fields(weight, shape, list(columns), tmp_path / "fields.png", 10)
    assert not list(tmp_path.iterdir())


def test_fields_are_drawn_where_they_are_and_blank_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(plots_local, "write", lambda figure, path: (drawn.append(figure), path)[1])
    fields = Fields((1, 6, 6), 2, 3)
    weight = torch.arange(1.0, 1 + fields.units)[:, None] * fields.mask()
    plots_local.local_fields(weight, fields.mask(), (1, 6, 6), 2, tmp_path / "fields.png")
    places = shown(drawn[0])
    assert len(places) == 2 * plots_local.POINTS
    first, last = (place.images[0].get_array() for place in (places[0], places[-1]))
    assert (~first.mask).nonzero()[0].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert (~last.mask).nonzero()[1].tolist() == [3, 4, 5] * 3
    assert float(first.max()) == 1
    assert float(last.max()) == fields.units
    with pytest.raises(DataError, match="a multiple of 3 units"):
        plots_local.local_fields(weight, fields.mask(), (1, 6, 6), 3, tmp_path / "no.png")
