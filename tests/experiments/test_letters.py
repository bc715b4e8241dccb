"""Words as pictures, the shape between H and A, and the readings of the units that see it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from support.helpers import refusal
from twofold.errors import DataError, SettingError
from twofold_lab.claims import top_down
from twofold_lab.data import letters
from twofold_lab.lab import Lab
from twofold_lab.verdict import FAILS, HOLDS, UNDECIDED, Figures

HALF = [0.5] * len(letters.FONTS)


def cell(images: Tensor, number: int) -> Tensor:
    """Return one letter of each picture, ``(texts, 16, 16)``."""
    return images[:, 0, :, 16 * number : 16 * (number + 1)]


# Pictures -----------------------------------------------------------------------------------------------------------


def test_pictures_are_the_same_for_the_same_seed_and_no_other() -> None:
    images, fonts = letters.render(["THE", "CAT"] * 20, 3)
    again, same = letters.render(["THE", "CAT"] * 20, 3)
    other, _ = letters.render(["THE", "CAT"] * 20, 4)
    assert images.shape == (40, 1, 16, 48)
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    assert torch.equal(images, again)
    assert torch.equal(fonts, same)
    assert not torch.equal(images, other)
    assert len(fonts.unique()) > 5


def test_a_letter_looks_the_same_in_every_context() -> None:
    """Otherwise the context could be read from the shape in the middle itself."""
    first, second = (letters.render([text] * 50, 7, HALF)[0] for text in ("T?E", "C?T"))
    assert torch.equal(cell(first, 1), cell(second, 1))
    assert not torch.equal(cell(first, 0), cell(second, 0))
    shuffled = letters.render(["C?T", "T?E"] * 25, 7, HALF)[0]
    assert torch.equal(cell(shuffled, 1), cell(first, 1))


@pytest.mark.parametrize("font", ["DejaVuSans", "cmtt10"])
def test_an_undistorted_letter_is_that_of_the_font_library(font: str) -> None:
    plain = letters.distort(letters.glyph("R", font)[None], torch.zeros(1, 5))[0]
    folder = Path(get_data_path()) / "fonts" / "ttf"
    sizes = [size for size in range(20, 120) if height(folder / f"{font}.ttf", size) <= 0.66 * 64]
    picture = Image.new("L", (64, 64))
    drawn = ImageFont.truetype(folder / f"{font}.ttf", sizes[-1] + 0.5)
    ImageDraw.Draw(picture).text((32, round(64 * 0.83)), "R", fill=255, font=drawn, anchor="ms")
    wanted = torch.tensor(np.array(picture) / 255.0).view(16, 4, 16, 4).mean((1, 3))
    assert float(torch.corrcoef(torch.stack([plain.flatten(), wanted.flatten().float()]))[0, 1]) > 0.98


def height(file: Path, size: int) -> int:
    _, top, _, bottom = ImageFont.truetype(file, size).getbbox("H", anchor="ms")
    return int(bottom - top)


def test_chance_moves_a_letter_by_a_pixel() -> None:
    plain = letters.distort(letters.glyph("H", "cmb10")[None], torch.zeros(1, 5))
    right = letters.distort(letters.glyph("H", "cmb10")[None], torch.tensor([[1.0, 0, 0, 0, 0]]))
    down = letters.distort(letters.glyph("H", "cmb10")[None], torch.tensor([[0.0, 1, 0, 0, 0]]))
    assert torch.allclose(right[:, :, 1:], plain[:, :, :-1], atol=1e-4) or torch.allclose(
        right[:, :, :-1], plain[:, :, 1:], atol=1e-4
    )
    assert torch.allclose(down[:, 1:], plain[:, :-1], atol=1e-4) or torch.allclose(
        down[:, :-1], plain[:, 1:], atol=1e-4
    )


@pytest.mark.parametrize("font", letters.FONTS)
def test_the_shape_goes_from_the_h_to_one_whose_stems_meet(font: str) -> None:
    h, closed = letters.glyph("H", font), letters.between(font, 0.0)
    assert torch.allclose(letters.between(font, 1.0), h, atol=1e-5)
    rows = (h.amax(1) > 0.5).nonzero()[:, 0]
    top = slice(int(rows[0]), int(rows[0]) + 6)
    width = [float(across(shape[top])) for shape in (h, letters.between(font, 0.5), closed)]
    assert width[0] > width[1] > width[2]
    assert width[2] < 0.6 * width[0]


def across(rows: Tensor) -> Tensor:
    """Return the spread of the ink: twice its mean distance from its middle."""
    places = torch.arange(rows.shape[1], dtype=torch.float32)
    ink = rows.sum(0)
    return 2 * (ink * (places - (ink * places).sum() / ink.sum()).abs()).sum() / ink.sum()


@pytest.mark.slow
def test_the_data_set_has_every_word_and_faint_middle_letters_for_training_alone() -> None:
    data = letters.load(40, 5, 2)
    assert data.classes == len(letters.WORDS) == 30
    assert data.train_images.shape == (1200, 1, 16, 48)
    assert torch.bincount(data.train_labels).tolist() == [40] * 30
    assert torch.bincount(data.test_labels).tolist() == [5] * 30
    again = letters.load(40, 5, 2)
    assert torch.equal(data.train_images, again.train_images)
    assert torch.equal(data.train_labels, again.train_labels)
    assert not torch.equal(data.train_labels, torch.arange(30).repeat(40))
    assert torch.equal(data.test_images, letters.render(letters.WORDS * 5, 3)[0])
    clear = letters.render(letters.WORDS * 40, 2)[0]
    weak = letters.weaken(clear, 2)
    strong = clear > 0.8
    kept = [float(cell(weak, number)[cell(strong, number)].mean()) for number in range(3)]
    assert abs(kept[1] / kept[0] - (1 + letters.FAINTEST) / 2) < 0.08
    assert abs(kept[2] / kept[0] - 1) < 0.02
    assert 0.08 < float(weak[clear == 0].std()) < 0.16


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: letters.glyph("ab", "cmb10"), DataError, "'ab' is not a capital letter from A to Z"),
        (lambda: letters.glyph("A", "Comic"), SettingError, "unknown font 'Comic'"),
        (lambda: letters.between("cmb10", 1.5), SettingError, "opening is 1.5"),
        (lambda: letters.render([], 0), DataError, "texts is empty"),
        (lambda: letters.render(["FOUR"], 0), DataError, "'FOUR' has 4 letters, expected 3"),
        (lambda: letters.render(["T?E"], 0), DataError, "openings is None: give the opening for each font"),
        (lambda: letters.render(["T?E"], 0, [0.5]), SettingError, "1 openings for 12 fonts"),
        (lambda: letters.load(0, 1), SettingError, "at least 1 image of each word for both"),
    ],
)
def test_texts_that_cannot_be_drawn_are_refused_in_one_line(action: Any, error: Any, message: str) -> None:
    assert message in refusal(action, error)


# Reading ------------------------------------------------------------------------------------------------------------


def test_each_third_of_the_first_layer_sees_one_letter() -> None:
    seen = top_down.fields(9).view(9, 16, 48)
    for unit in range(9):
        letter = unit // 3
        assert bool(seen[unit, :, 16 * letter : 16 * (letter + 1)].all())
        assert int(seen[unit].sum()) == 256


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small net after one epoch, with top-down input and without."""
    lab = Lab("smoke", tmp_path_factory.mktemp("letters"))
    recipe, _ = top_down.settings(lab)
    recipe = replace(recipe, widths=(60, 40), epochs=1)
    dataset = letters.load(5, 1)
    return tuple(top_down.trained(lab, replace(recipe, top_down=above), dataset) for above in (True, False))


def test_learning_keeps_to_the_fields(small: Any) -> None:
    weight = small[0].stack[0].weights["below"]
    seen = top_down.fields(60)
    assert float(weight[~seen].abs().max()) == 0
    assert float(weight[seen].abs().min()) > 0


def test_context_gets_to_the_middle_from_above_alone(small: Any) -> None:
    """Bottom-up, the contexts differ only by the length of the picture; without top-down input this remains so."""
    shown = [letters.render([text] * 10, 5, HALF)[0] for text in top_down.CONTEXTS]
    connected, without = ([list(top_down.settle(net, images)) for images in shown] for net in small)
    assert len(connected[0]) == small[0].iterations + 1
    assert connected[0][0].shape == (10, 20)
    mean_square = connected[0][3].square().mean(1)
    assert torch.allclose(mean_square, torch.ones(10), atol=1e-3)

    def differ(states: list[list[Tensor]], iteration: int) -> float:
        return float((states[0][iteration] - states[1][iteration]).square().mean().sqrt())

    assert differ(connected, 0) < 0.1
    assert differ(without, -1) < 0.1
    assert differ(connected, -1) > 3 * differ(connected, 0)


def test_the_belief_comes_from_above(small: Any) -> None:
    images = letters.render(["THE", "CAT"] * 5, 5)[0]
    believed, neutral = (list(top_down.settle(small[0], images, belief)) for belief in (True, False))
    assert torch.equal(believed[0], neutral[0])
    assert not torch.allclose(believed[-1], neutral[-1], atol=1e-3)


class Threshold:
    """A read-out that reads H if the first unit is above 0.5."""

    def decision_function(self, states: Any) -> Any:
        return states[:, 0] - 0.5


@pytest.mark.slow
def test_the_openings_are_where_half_is_read_as_an_h() -> None:
    """The state is the opening, shifted, so the crossing is known."""
    openings: list[float] = []

    def states(images: Tensor) -> Tensor:
        opening = len(openings) / 20
        openings.append(opening)
        return torch.full((len(images), 1), opening + 0.2)

    calibrated = top_down.calibrate(states, Threshold())  # type: ignore[arg-type]
    assert len(calibrated) == len(letters.FONTS)
    assert np.allclose(calibrated, 0.3)


def test_shares_count_the_answers_that_the_context_asks_for() -> None:
    states = [[torch.tensor([[1.0], [1.0], [0.0], [1.0]])], [torch.tensor([[1.0], [0.0], [0.0], [0.0]])]]
    assert top_down.shares(Threshold(), states, 0) == {"H in T?E %": 75.0, "A in C?T %": 75.0}  # type: ignore[arg-type]


def test_the_verdicts_count_the_renderings() -> None:
    """Oracle: two binomial standard errors of 300 renderings, 5.8 points at 50 %, 3.5 at 90 % and 4.5 at 80 %."""

    def verdicts(settled: float, before: float, without: float) -> list[str]:
        readings = [dict.fromkeys(top_down.SHARES, share) for share in (settled, before, without)]
        measured, twin = {"settled": readings[0], "before": readings[1]}, {"without top-down": {"settled": readings[2]}}
        clauses = top_down.CLAIM.judge(Figures(measured, twin, "full", [0], 10_000))
        return [clause["verdict"] for clause in clauses]

    assert verdicts(95, 50, 50) == [HOLDS, HOLDS, HOLDS]
    assert verdicts(92, 38, 62) == [UNDECIDED, UNDECIDED, UNDECIDED]
    assert verdicts(80, 25, 80) == [FAILS, FAILS, FAILS]


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    shown = [letters.render([text] * 6, 5, HALF)[0] for text in top_down.CONTEXTS]
    reading = np.random.default_rng(0).normal(size=(2, 9, 6))
    path = top_down.draw_readings(shown, {"": reading, "without top-down": reading}, tmp_path / "context.png")
    with Image.open(path) as picture:
        picture.verify()
