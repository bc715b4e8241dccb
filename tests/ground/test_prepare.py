"""A picture is brought to what a net was trained on.

Oracles: the image that a picture was made of, by another way than it is brought back; the files' own pixels.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from support.helpers import refusal
from twofold.data import Dataset
from twofold.data.look import Look, look_of, stroke_of
from twofold.data.pictures import prepare
from twofold.data.preparation import Preparation
from twofold.errors import DataError, SettingError

PLACES = [((9, 2), (5, 12), (9, 16), (16, 6)), ((3, 3), (16, 3), (6, 17)), ((4, 2), (4, 17), (13, 9), (14, 17))]
"""Corners of strokes, in a frame of 20 x 20."""


def drawn(number: int, size: int = 560, pen: float = 2.4) -> Image.Image:
    """A thing that is drawn with a round pen, light on black, in a frame with some room around."""
    picture = Image.new("L", (size, size))
    scale = size / 28
    corners = [((x + 4) * scale, (y + 4) * scale) for x, y in PLACES[number % len(PLACES)]]
    width = pen * (1 + 0.2 * (number % 4)) * scale
    pencil = ImageDraw.Draw(picture)
    pencil.line(corners, 255, round(width))
    for x, y in corners:
        pencil.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), 255)
    return picture


def normalized(picture: Image.Image) -> NDArray[np.float32]:
    """What is drawn, (28, 28), 20 pixels long and with its center of mass in the middle, as MNIST was made."""
    cut = picture.crop(picture.getbbox())
    scale = 20 / max(cut.size)
    small = cut.resize([max(1, round(length * scale)) for length in cut.size], Image.Resampling.BOX)
    ink = np.asarray(small, dtype=np.float64)
    down, right = ((ink.sum(1 - axis) @ np.arange(ink.shape[axis])) / ink.sum() for axis in (0, 1))
    top, left = round(14 - down), round(14 - right)
    found = np.zeros((28, 28), dtype=np.float32)
    found[top : top + ink.shape[0], left : left + ink.shape[1]] = ink / ink.max()
    return np.round(found * 255) / 255


@cache
def training_images() -> torch.Tensor:
    images = [normalized(drawn(number).rotate(7 * number)) for number in range(60)]
    return torch.from_numpy(np.stack(images))[:, None]


@cache
def like_mnist() -> Preparation:
    return Preparation("pictures", (1, 28, 28), tuple("012"), look=look_of(training_images()))


def test_what_training_images_have_in_common_is_measured() -> None:
    look = look_of(training_images())
    assert look is not None
    assert (look.ground, look.ink, look.box, look.by_mass) == (0, 1, 20, True)
    assert look.center == pytest.approx((14.5, 14.5), abs=0.1)
    assert look == Look.from_json(json.loads(json.dumps(asdict(look))))
    dark = look_of(1 - training_images())
    assert dark is not None
    assert replace(dark, ground=0.0, ink=1.0).box == look.box
    assert (dark.ground, dark.ink) == (1, 0)


def test_the_embedded_digits_fill_their_pictures(digits: Dataset) -> None:
    look = look_of(digits.train_images)
    assert look is not None
    assert (look.ground, look.ink, look.box, look.by_mass) == (0, 1, 8, False)


@pytest.mark.parametrize("shape", [(50, 3, 28, 28), (50, 1, 28, 28), (50, 1, 1, 64)])
def test_images_of_colors_or_without_a_plain_ground_have_no_look(shape: tuple[int, ...]) -> None:
    assert look_of(torch.rand(shape, generator=torch.Generator().manual_seed(0))) is None


def test_a_picture_that_is_as_the_training_images_are_is_left_as_it_is_bit_by_bit(digits: Dataset) -> None:
    own = Preparation("pictures", (1, 8, 8), digits.names, look=look_of(digits.train_images))
    for images, preparation in ((training_images(), like_mnist()), (digits.test_images, own)):
        for image in images[:200]:
            pixels = (255 * image[0]).round().byte()
            for mode in ("L", "RGB"):
                found, done = prepare(Image.fromarray(pixels.numpy()).convert(mode), preparation)
                assert torch.equal(found, (pixels / 255)[None, None])
                assert done == ()


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The mean over pixels, wherever the center of mass is rounded to."""
    moved = [expected.roll((down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return min(float((found[0, 0] - each).abs().mean()) for each in moved)


def lit(picture: Image.Image) -> Image.Image:
    """Blue ink on paper under a light that falls off, with noise."""
    cover = np.asarray(picture, dtype=np.float64)[..., None] / 255
    scene = (1 - cover) * (0.9, 0.88, 0.84) + cover * (0.15, 0.2, 0.5)
    height, width = picture.size[::-1]
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    seen = scene * (1 - 0.3 * down - 0.2 * right)[..., None]
    noise = 0.02 * np.random.default_rng(0).standard_normal(seen.shape)
    return Image.fromarray((255 * np.clip(seen + noise, 0, 1)).astype(np.uint8))


def on_a_desk(picture: Image.Image) -> Image.Image:
    """A photograph on which a dark desk is seen beyond the paper."""
    found = lit(picture)
    found.paste((60, 40, 30), (0, 0, 40, found.height))
    return found


def colored(ink: tuple[int, int, int], ground: tuple[int, int, int]) -> Any:
    """Ink of a color on a ground of a color."""

    def paint(picture: Image.Image) -> Image.Image:
        found = Image.new("RGB", picture.size, ground)
        found.paste(ink, None, picture)
        return found

    return paint


def on_a_page(picture: Image.Image) -> Image.Image:
    """Small, in a corner of a large white page."""
    page = Image.new("L", (2000, 2800), 255)
    page.paste(picture.resize((112, 112), Image.Resampling.BOX).point(lambda value: 255 - value), (1500, 200))
    return page


GIVEN: dict[str, tuple[Any, set[str]]] = {
    "large": (lambda picture: picture, {"centered"}),
    "dark on white": (lambda picture: picture.point(lambda value: 255 - value), {"inverted", "centered"}),
    "faint": (lambda picture: picture.point(lambda value: 100 + value // 5), {"centered", "contrast raised"}),
    "wide": (lambda picture: picture.crop((-300, 0, 900, 560)), {"centered"}),
    "at the edge": (lambda picture: picture.crop(picture.getbbox()), {"centered"}),
    "red on a green as strong": (colored((200, 30, 30), (30, 200, 30)), {"centered"}),
    "light on blue": (colored((250, 240, 200), (20, 30, 90)), {"centered"}),
    "a page": (on_a_page, {"inverted", "centered"}),
    "a photograph": (lit, {"inverted", "background removed", "centered"}),
    "a photograph with a desk": (on_a_desk, {"inverted", "background removed", "centered"}),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_is_drawn_comes_back_as_the_training_images_are(name: str) -> None:
    change, words = GIVEN[name]
    for number in range(3):
        raw = change(drawn(number))
        found, done = prepare(raw, like_mnist())
        expected = torch.from_numpy(normalized(drawn(number)))
        assert found.shape == (1, 1, 28, 28)
        assert difference(found, expected) < 0.03
        assert words <= set(done)
        assert f"{raw.width} x {raw.height} -> 28 x 28" in done
        assert ("background removed" in done) == ("photograph" in name)


def test_strokes_of_a_thin_pen_become_as_wide_as_the_training_images_have_them() -> None:
    found, done = prepare(drawn(0, pen=0.6), like_mnist())
    assert "strokes thickened" in done
    look = like_mnist().look
    assert look is not None
    assert stroke_of(found[0, 0].numpy()) == pytest.approx(look.stroke[1], rel=0.25)
    thick, done = prepare(drawn(0), like_mnist())
    assert "strokes thickened" not in done
    assert (found - thick).abs().mean() < 0.06


@pytest.mark.parametrize("width", [2.5, 4.0, 6.0])
def test_the_width_of_strokes_is_what_was_drawn(width: float) -> None:
    picture = Image.new("L", (400, 400))
    ImageDraw.Draw(picture).line(((100, 200), (300, 200)), 255, round(10 * width))
    small = np.asarray(picture.resize((40, 40), Image.Resampling.BOX), dtype=np.float64) / 255
    area, edge = 20 * width, 2 * (20 + width)
    assert stroke_of(small) == pytest.approx(2 * area / edge, rel=0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (28, 28), (600, 400)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_on_a_blank_picture_there_is_nothing(size: tuple[int, int], level: int) -> None:
    said = refusal(lambda: prepare(Image.new("L", size, level), like_mnist()), DataError)
    assert said.startswith("the picture is empty")


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 500), (700, 1), (5, 5)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pictures_of_every_size_are_prepared_or_refused(size: tuple[int, int], mode: str) -> None:
    channels = 3 if mode == "RGB" else 1
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    picture = Image.fromarray(noise if channels == 3 else noise[..., 0])
    for preparation in (like_mnist(), replace(like_mnist(), look=None)):
        with suppress(DataError):  # it may be that nothing can be told from the ground
            found, _ = prepare(picture, preparation)
            assert found.shape == (1, 1, 28, 28)
            assert found.isfinite().all()
            assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("size", [(16, 32), (32, 16), (24, 24)])
@pytest.mark.parametrize("lies", [False, True])
def test_what_is_drawn_fits_into_pictures_that_are_longer_one_way(size: tuple[int, int], lies: bool) -> None:
    """Things of up to 30 pixels, where training images have that room one way."""
    look = like_mnist().look
    assert look is not None
    look = replace(look, box=min(max(size), 30), center=(size[0] / 2, size[1] / 2))
    bar = Image.new("L", (200, 200))
    bar.paste(255, (20, 80, 180, 120) if lies else (80, 20, 120, 180))
    found, _ = prepare(bar, replace(like_mnist(), shape=(1, *size), look=look))
    inked = (found[0, 0] > 0.5).nonzero()
    down, right = (inked.amax(0) - inked.amin(0) + 1).tolist()
    length = min(look.box or 0, size[lies])
    assert found.shape == (1, 1, *size)
    assert ((right, down) if lies else (down, right)) == pytest.approx((length, length / 4), abs=2)


def test_pictures_for_data_without_a_box_are_scaled_and_turned_to_their_polarity() -> None:
    look = like_mnist().look
    assert look is not None
    fashion = replace(like_mnist(), look=replace(look, box=None))
    shirt = Image.new("L", (56, 56))
    shirt.paste(180, (10, 4, 50, 52))
    expected = torch.from_numpy(np.asarray(shirt.resize((28, 28), Image.Resampling.BILINEAR), dtype=np.float32) / 255)
    found, done = prepare(shirt, fashion)
    assert torch.equal(found[0, 0], expected)
    assert done == ("56 x 56 -> 28 x 28",)
    found, done = prepare(shirt.point(lambda value: 255 - value), fashion)
    assert (found[0, 0] - expected).abs().max() < 0.01
    assert done == ("inverted", "56 x 56 -> 28 x 28")


def test_a_net_of_colors_gets_the_colors_of_a_picture_as_they_are() -> None:
    colors = Preparation("pictures", (3, 32, 32), tuple("012"))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found, done = prepare(Image.fromarray(pixels), colors)
    assert torch.equal(found[0], torch.from_numpy(pixels).permute(2, 0, 1) / 255)
    assert done == ()
    grey, _ = prepare(Image.fromarray(pixels[..., 0]), colors)
    assert torch.equal(grey[0], torch.from_numpy(pixels[..., 0]).expand(3, 32, 32) / 255)


def test_a_net_of_tables_gets_no_pictures() -> None:
    table = Preparation("table", (1, 1, 2), ("a", "b"), ("x", "y"), (0.0, 0.0), (1.0, 1.0))
    assert "not trained on pictures" in refusal(lambda: prepare(drawn(0), table), SettingError)
