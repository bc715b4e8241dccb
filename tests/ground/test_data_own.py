"""Data of your own: what can be meant becomes a data set, and what cannot is refused in one line that names it.

Were one of these to fail, somebody would train on labels in a wrong order, on masked pixels or on bytes, and not know.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse
import torch

from support.data_files import refusal
from twofold.data import Dataset, as_dataset, load
from twofold.data.dataset import labeled_images
from twofold.errors import DataError, SettingError, TwofoldError


def tiny(**changes: object) -> Dataset:
    parts: dict[str, object] = {
        "name": "tiny",
        "train_images": torch.linspace(0, 1, 5 * 2 * 3 * 4).view(5, 2, 3, 4),
        "train_labels": torch.tensor([0, 1, 2, 0, 1]),
        "test_images": torch.full((2, 2, 3, 4), 0.5),
        "test_labels": torch.tensor([2, 0]),
        "classes": 3,
        "official": False,
    }
    return Dataset(**(parts | changes))  # type: ignore[arg-type]


# Oracle: the documented contract of a data set -----------------------------------------------------------------------


def test_holding_out_takes_the_last_training_images_and_leaves_the_test_images_out() -> None:
    data = tiny(official=True)
    held = data.hold_out(2)
    assert torch.equal(held.train_images, data.train_images[:3])
    assert torch.equal(held.train_labels, data.train_labels[:3])
    assert torch.equal(held.test_images, data.train_images[3:])
    assert torch.equal(held.test_labels, data.train_labels[3:])
    assert (held.name, held.official, held.classes) == ("tiny", True, 3)


@pytest.mark.parametrize("count", [0, -1, 5])
def test_holding_out_nothing_or_everything_is_refused(count: int) -> None:
    assert "from 1 to 4" in refusal(SettingError, lambda: tiny().hold_out(count))


def test_the_fingerprint_changes_with_every_part_and_only_with_the_content() -> None:
    data = tiny()
    assert data.fingerprint == tiny(name="other", official=True).fingerprint == data.to("cpu").fingerprint
    others = [
        tiny(train_images=data.train_images.flip(0)),
        tiny(train_labels=data.train_labels.flip(0)),
        tiny(test_images=data.test_images * 0.5),
        tiny(test_labels=data.test_labels.flip(0)),
        tiny(train_images=data.train_images.view(5, 2, 4, 3), test_images=data.test_images.view(2, 2, 4, 3)),
    ]
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_shape_and_pixels_are_those_of_one_image_and_memory_is_contiguous() -> None:
    last = tiny().train_images.permute(0, 2, 3, 1)
    data = tiny(train_images=last, test_images=torch.zeros(2, 3, 4, 2))
    assert data.shape == (3, 4, 2)
    assert data.pixels == 24
    assert data.train_images.is_contiguous()
    assert torch.equal(data.train_images, last)


@pytest.mark.parametrize(("shape", "expected"), [((4,), (1, 1, 4)), ((2, 3), (1, 2, 3)), ((3, 2, 2), (3, 2, 2))])
def test_arrays_of_every_documented_shape_become_images(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random((6, *shape))
    labels = np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8)
    images.flags.writeable = False
    data = as_dataset("own", images, labels, torch.from_numpy(images[:2].copy()), labels[:2], classes=3)
    assert data.shape == expected
    assert not data.official
    np.testing.assert_array_equal(data.train_images.numpy().reshape(images.shape), images.astype(np.float32))
    assert data.train_labels.tolist() == labels.tolist()


def poisoned(value: float) -> torch.Tensor:
    images = torch.zeros(5, 2, 3, 4)
    images[[2, 4], 1, 0, 0] = value
    return images


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_images": torch.zeros(5, 24)}, ["train", "(5, 24)", "(cases, channels, height, width)"]),
        ({"train_labels": torch.zeros(5, 1).long()}, ["train", "(5, 1)", "(cases,)"]),
        ({"train_labels": torch.zeros(4).long()}, ["train", "5 images", "4 labels"]),
        ({"test_images": torch.zeros(0, 2, 3, 4), "test_labels": torch.zeros(0).long()}, ["test", "(0, 2, 3, 4)"]),
        ({"test_images": torch.zeros(2, 2, 4, 4)}, ["(2, 3, 4)", "(2, 4, 4)"]),
        ({"train_images": torch.zeros(5, 2, 3, 4).double()}, ["train", "float64", "float32"]),
        ({"test_labels": torch.zeros(2)}, ["test", "float32", "int64"]),
        ({"train_images": poisoned(math.nan)}, ["train", "2 of 5", "image 2"]),
        ({"train_images": poisoned(-math.inf)}, ["train", "2 of 5", "image 2"]),
        ({"train_images": poisoned(255)}, ["train", "0 to 255", "divide", "255"]),
        ({"train_images": poisoned(-0.5)}, ["train", "-0.5 to 0"]),
        ({"train_labels": torch.tensor([0, 1, 3, 7, 0])}, ["train", "label 3", "image 2", "0 to 2"]),
        ({"test_labels": torch.tensor([0, -1])}, ["test", "label -1", "image 1"]),
        ({"classes": 1}, ["classes is 1"]),
    ],
)
def test_what_is_no_data_set_is_refused_in_one_line(changes: dict[str, object], words: list[str]) -> None:
    message = refusal(DataError, lambda: tiny(**changes))
    for word in ["'tiny'", *words]:
        assert word in message


WRONG: dict[str, tuple[object, list[str]]] = {
    "unequal lists": ([[1.0], [1.0, 0.5]], ["cannot be converted to a tensor"]),
    "text": (np.array([["a"], ["b"]]), ["cannot be converted to a tensor"]),
    "objects": (np.array([[None], [{}]]), ["cannot be converted to a tensor"]),
    "nothing": (None, ["cannot be converted to a tensor"]),
    "a mapping": ({"images": 1}, ["cannot be converted to a tensor"]),
    "dates": (np.zeros((2, 1), "datetime64[s]"), ["cannot be converted to a tensor"]),
    "sparse of SciPy": (scipy.sparse.eye(2), ["cannot be converted to a tensor"]),
    "sparse": (torch.eye(2).to_sparse(), ["sparse", "dense"]),
    "meta": (torch.empty(2, 1, device="meta"), ["meta", "no values"]),
    "masked": (np.ma.masked_equal([[0], [1]], 1), ["masked"]),
    "lists of what learns": ([torch.ones(1, requires_grad=True)] * 2, ["cannot be converted to a tensor"]),
}
"""What can be neither two images nor two labels."""

WRONG_IMAGES: dict[str, tuple[object, list[str]]] = {
    "complex": (np.zeros((2, 1), complex), ["complex", "magnitudes"]),
    "bytes": (np.array([[0], [255]], np.uint8), ["from 0 to 255, expected 0 to 1", "divide bytes by 255"]),
    "signed": (np.array([[-1.0], [1.0]]), ["from -1 to 1, expected 0 to 1"]),
    "NaN": (np.array([[0], [np.nan]], np.float16), ["1 of 2 images", "image 1"]),
    "beyond float32": (np.array([[0], [1e300]]), ["infinite", "image 1"]),
    "one number each": (np.zeros(2), ["shape (2,)", "(cases, channels, height, width)"]),
    "video": (np.zeros((2, 1, 1, 1, 1)), ["shape (2, 1, 1, 1, 1)"]),
}

WRONG_LABELS: dict[str, tuple[object, list[str]]] = {
    "one-hot": (np.eye(2, dtype=int), ["shape (2, 2)", ".argmax(1)"]),
    "one-hot numbers": (np.eye(2), ["shape (2, 2)", ".argmax(1)"]),
    "columns": (np.zeros((2, 1), int), ["shape (2, 1)", "(cases,)"]),
    "one for all": (1, ["shape ()", "(cases,)"]),
    "words": (["cat", "dog"], ["cannot be converted to a tensor", "numbered from 0"]),
    "numbers": ([0.0, 1.0], ["float64", "whole numbers"]),
    "complex": (np.zeros(2, complex), ["complex128", "whole numbers"]),
    "truths": ([True, False], ["bool", "whole numbers"]),
    "from 1": ([1, 2], ["label 2 of image 1", "outside 0 to 1"]),
    "beyond int64": (np.array([0, 2**63 + 5], np.uint64), ["label 9223372036854775813 of image 1", "from 0"]),
    "beyond 64 bits": ([0, 2**70], ["cannot be converted to a tensor"]),
    "one more": ([0, 1, 0], ["2 images and 3 labels"]),
}


@pytest.mark.parametrize("part", ["train", "test", "to learn from"])
@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        *(pytest.param(images, [0, 1], words, id=f"images: {name}") for name, (images, words) in WRONG.items()),
        *(pytest.param(images, [0, 1], words, id=f"images: {name}") for name, (images, words) in WRONG_IMAGES.items()),
        *(pytest.param(np.zeros((2, 1)), labels, words, id=f"labels: {k}") for k, (labels, words) in WRONG.items()),
        *(
            pytest.param(np.zeros((2, 1)), labels, words, id=f"labels: {k}")
            for k, (labels, words) in WRONG_LABELS.items()
        ),
    ],
)
def test_own_data_that_cannot_be_meant_are_refused_in_one_line(
    images: object, labels: object, words: list[str], part: str
) -> None:
    good = np.zeros((2, 1)), [0, 1]
    if part == "to learn from" and np.array_equal(images, [[-1.0], [1.0]]):
        return  # rows to learn from may be those of a table, standardized
    message = refusal(
        DataError,
        {
            "train": lambda: as_dataset("own", images, labels, *good, classes=2),
            "test": lambda: as_dataset("own", *good, images, labels, classes=2),
            "to learn from": lambda: labeled_images("own", images, labels, classes=2),
        }[part],
    )
    for word in ["'own'", "train" if part == "to learn from" else part, *words]:
        assert word in message


TWO_IMAGES = np.array([[0.0, 0.25], [0.5, 1.0]])


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (TWO_IMAGES.tolist(), [0, 1]),
        (TWO_IMAGES.astype(np.float16), np.array([0, 1], np.uint64)),
        (TWO_IMAGES.astype(">f4"), np.array([0, 1], ">i2")),
        (TWO_IMAGES[::-1][::-1, ::-1][:, ::-1], np.array([1, 0])[::-1]),
        (np.broadcast_to(TWO_IMAGES, (2, 2)), np.broadcast_to([0, 1], 2)),
        (np.asfortranarray(TWO_IMAGES), (0, 1)),
        (np.ma.array(TWO_IMAGES), np.ma.array([0, 1])),
        (torch.tensor(TWO_IMAGES, requires_grad=True), torch.tensor([0, 1], dtype=torch.uint8)),
        (torch.nn.Parameter(torch.tensor(TWO_IMAGES, dtype=torch.bfloat16)), torch.tensor([[0, 9], [1, 9]])[:, 0]),
        (torch.tensor(-1j * TWO_IMAGES).conj().imag, torch.tensor([0, 1])),
        ([torch.tensor(row) for row in TWO_IMAGES], [torch.tensor(0), torch.tensor(1)]),
    ],
    ids=[
        *("lists", "half", "big endian", "backwards", "read-only", "Fortran", "nothing masked"),
        *("gradient", "parameter", "negated", "tensors"),
    ],
)
def test_own_data_of_every_kind_become_the_same_data_set(images: object, labels: object) -> None:
    expected = as_dataset("own", TWO_IMAGES, np.array([0, 1]), TWO_IMAGES, np.array([0, 1]), classes=2)
    data = as_dataset("own", images, labels, images, labels, classes=2)
    assert data.fingerprint == expected.fingerprint
    assert not data.train_images.requires_grad


def test_arrays_in_the_shape_of_a_data_set_become_one() -> None:
    data = tiny()
    arrays = {part: getattr(data, part).numpy().copy() for part in ("train_images", "train_labels", "test_images")}
    for array in arrays.values():
        array.flags.writeable = False
    assert tiny(**arrays).fingerprint == data.fingerprint
    learning = tiny(train_images=data.train_images.clone().requires_grad_())
    assert learning.fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda: tiny(classes=3.5), "classes is 3.5 (float), expected a whole number"),
        (lambda: tiny(classes=True), "classes is True (bool), expected a whole number"),
        (lambda: tiny(classes="3"), "classes is '3' (str), expected a whole number"),
        (lambda: tiny(name=5), "name is 5 (int), expected a string"),
        (lambda: tiny(official="no"), "official is 'no' (str), expected True or False"),
        (lambda: tiny(train_images=[[0.5], "x"]), "train_images is [[0.5], 'x'] (list), expected a tensor"),
        (lambda: tiny(train_images=torch.empty(5, 2, 3, 4, device="meta")), "meta"),
        (lambda: tiny(test_labels=torch.zeros(2, dtype=torch.long).to_sparse()), "sparse"),
        (lambda: as_dataset("own", [[0.5]], [0], [[0.5]], [0], classes=2.5), "classes is 2.5 (float)"),
        (lambda: as_dataset(None, [[0.5]], [0], [[0.5]], [0], classes=2), "name is None"),  # type: ignore[arg-type]
        (lambda: as_dataset("own", [[0.5]], classes=2), "as_dataset: missing"),  # type: ignore[call-arg]
        (lambda: tiny().hold_out(True), "count is True (bool)"),
        (lambda: tiny().hold_out(3.0), "count is 3.0 (float)"),  # type: ignore[arg-type]
        (lambda: tiny().hold_out("3"), "count is '3' (str)"),  # type: ignore[arg-type]
        (lambda: tiny().to("nonsense"), "device is 'nonsense' (str), expected a device"),
        (lambda: tiny().to(None), "device is None"),  # type: ignore[arg-type]
        (lambda: tiny().to("meta"), "meta"),
        (lambda: tiny().to("cuda:99"), "cannot be moved to cuda:99"),
        (lambda: load(3), "name is 3 (int)"),  # type: ignore[arg-type]
        (lambda: load("digits", 3), "data_dir is 3 (int)"),  # type: ignore[arg-type]
        (lambda: load("digits", download="yes"), "download is 'yes' (str)"),  # type: ignore[arg-type]
    ],
)
def test_an_argument_of_another_type_is_named_in_one_line(action: Callable[[], object], words: str) -> None:
    assert words in refusal(TwofoldError, action)


@pytest.mark.parametrize("classes", [1001, 10**6, 2**40, 2**70])
def test_far_more_classes_than_cases_are_refused(classes: int) -> None:
    assert tiny(classes=1000).classes == 1000
    assert "expected at most the 5 training cases" in refusal(DataError, lambda: tiny(classes=classes))
