"""Training from a `torch.utils.data.Dataset` or a `DataLoader` in place of tensors.

Oracles: the same training from tensors, bitwise, where the order is the same; the loader's own batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

import twofold
from support.helpers import refusal
from support.small_nets import NETS, SHAPE
from twofold.data import Dataset
from twofold.errors import DataError, SettingError
from twofold.layers.dense import dense

CLASSIFIERS = [name for name in NETS if name != "feedforward, any module"]


class Samples(TorchDataset[tuple[Tensor, Tensor]]):
    """A map-style dataset that is no `TensorDataset`; counts how often each sample is read."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels
        self.read = [0] * len(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.read[index] += 1
        return self.images[index], int(self.labels[index])


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    """Samples that come one after the other."""

    def __init__(self, images: Tensor, labels: Tensor, sized: bool = True) -> None:
        self.images, self.labels = images, labels
        if not sized:
            self.__class__ = type("Endless", (Stream,), {"__len__": None})

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.images, self.labels, strict=True)

    def __len__(self) -> int:
        return len(self.labels)


def some(digits: Dataset, count: int = 210) -> tuple[Tensor, Tensor]:
    return digits.train_images[:count], digits.train_labels[:count]


def weights(net: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def fitted(name: str, *data: Any, **settings: Any) -> tuple[dict[str, Tensor], twofold.History]:
    net = NETS[name]()
    history = twofold.fit(net, *data, epochs=2, **settings)
    return weights(net), history


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["Samples", "Subset", "TensorDataset", "twofold.Dataset"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_dataset_trains_bitwise_as_its_tensors_do(digits: Dataset, name: str, kind: str) -> None:
    """The order is ours, so importance sampling works as well."""
    images, labels = some(digits)
    made: dict[str, Callable[[], Any]] = {
        "Samples": lambda: Samples(images, labels),
        "Subset": lambda: Subset(TensorDataset(*digits.train), range(210)),
        "TensorDataset": lambda: TensorDataset(images, labels),
        "twofold.Dataset": lambda: twofold.as_dataset("some", images, labels, images, labels),
    }
    sampled = {"tolerance": 0.5, "revisit": 0.2, "batch": 40}
    wanted, history = fitted(name, images, labels, **sampled)
    found, other = fitted(name, made[kind](), **sampled)
    assert_same(found, wanted)
    assert [each["train_error"] for each in other] == [each["train_error"] for each in history]
    assert other.last["importance_sampling"] is True


def test_a_sample_is_read_at_each_visit_so_that_its_transforms_are_new_each_time(digits: Dataset) -> None:
    samples = Samples(*some(digits, 60))
    fitted("feedforward", samples, batch=20)
    assert samples.read == [3] + [2] * 59, "the first is also looked at before the training begins"


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_batches_of_a_loader_are_learned_from_in_its_order(digits: Dataset, name: str) -> None:
    data = TensorDataset(*some(digits))
    loader = DataLoader(data, batch_size=50)
    found, history = fitted(name, loader, tolerance=0.5, revisit=0.2)
    assert [each["visits"] for each in history] == [1.0, 1.0]
    assert not any(each["importance_sampling"] for each in history)
    assert_same(found, fitted(name, DataLoader(data, batch_size=50), tolerance=0.5, revisit=0.2)[0])
    first_weight = next(key for key in found if key.endswith("weight"))
    shuffled = DataLoader(data, batch_size=50, shuffle=True, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(
        fitted(name, shuffled)[0][first_weight],
        found[first_weight],
    )


def test_the_step_of_a_batch_is_that_of_the_loaders_tensors(digits: Dataset) -> None:
    """Against `net.learn` by hand; a last batch that is smaller counts so much less."""
    images, labels = some(digits, 120)
    net, other = NETS["backprop"](), NETS["backprop"]()
    twofold.fit(net, DataLoader(TensorDataset(images, labels), batch_size=50), epochs=1, rate=0.1, schedule="constant")
    for first in range(0, 120, 50):
        part, named = images[first : first + 50], labels[first : first + 50]
        other.learn(part, named, rate=0.1, case_weight=torch.full((len(part),), len(part) / 50))
    assert_same(weights(net), weights(other))


def test_the_train_error_of_a_loader_is_the_share_of_its_cases_that_were_named_wrongly(digits: Dataset) -> None:
    """This holds for loaders that drop the last cases, too."""
    images, labels = some(digits, 115)
    wrong: list[Tensor] = []

    def watch(trainer: twofold.Trainer, batch: Any, result: Any) -> None:
        wrong.append(result.logits.argmax(1) != batch.labels)

    net = NETS["feedforward"]()
    history = twofold.fit(
        net, DataLoader(TensorDataset(images, labels), batch_size=50, drop_last=True), epochs=1, on_batch=watch
    )
    assert len(torch.cat(wrong)) == 100
    assert history.last["train_error"] == pytest.approx(torch.cat(wrong).float().mean().item())


@pytest.mark.parametrize("how", ["loader", "dataset"])
def test_a_stream_with_a_length_is_learned_from(digits: Dataset, how: str) -> None:
    images, labels = some(digits)
    data: Any = Stream(images, labels)
    found, _ = fitted("feedforward", DataLoader(data, batch_size=50) if how == "loader" else data)
    assert_same(found, fitted("feedforward", DataLoader(TensorDataset(images, labels), batch_size=50))[0])


def test_batches_that_a_loader_does_not_collate_are_learned_from(digits: Dataset) -> None:
    images, labels = some(digits, 200)
    batches = [(images[first : first + 50], labels[first : first + 50]) for first in range(0, 200, 50)]
    found, _ = fitted("feedforward", DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    assert_same(found, fitted("feedforward", DataLoader(TensorDataset(images, labels), batch_size=50))[0])


def test_a_trainer_takes_a_loader_as_fit_does(digits: Dataset) -> None:
    data, net = TensorDataset(*some(digits)), NETS["feedforward"]()
    recipe = twofold.METHODS["forward-forward"].default_recipe(net, {"epochs": 2, "batch": 50})
    trainer = twofold.Trainer(net, recipe, DataLoader(data, batch_size=50))
    trainer.run()
    assert_same(weights(net), fitted("feedforward", DataLoader(data, batch_size=50))[0])
    assert trainer.history.last["epoch"] == 2


IMAGES, LABELS = torch.rand(8, *SHAPE), torch.arange(8)

MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "no tuples": (lambda: DataLoader(IMAGES, batch_size=4), "a batch has the type Tensor, expected a tuple"),  # type: ignore[arg-type]
    "bytes": (lambda: DataLoader(TensorDataset(255 * IMAGES, LABELS), batch_size=4), "expected 0 to 1: rescale them"),
    "labels that are none": (lambda: Samples(IMAGES, LABELS + 5), "outside 0 to 9"),
    "another size": (lambda: Samples(torch.rand(8, 1, 6, 6), LABELS), "(1, 1, 6, 6)"),
    "nothing": (lambda: Samples(IMAGES[:0], LABELS[:0]), "is empty, expected at least one case"),
    "no batch": (lambda: DataLoader(TensorDataset(IMAGES, LABELS), 20, drop_last=True), "has no batches"),
    "no length": (lambda: DataLoader(Stream(IMAGES, LABELS, sized=False), 4), "the DataLoader has no length"),
    "shapes of their own": (
        lambda: Samples([torch.rand(1, 8, 8), torch.rand(1, 8, 9)] * 4, LABELS),  # type: ignore[arg-type]
        "cannot be collated",
    ),
    "two datasets": (lambda: (Samples(IMAGES, LABELS), LABELS), "got Samples, Tensor, expected tensors, or one"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_data_that_a_net_cannot_learn_from_are_refused_in_one_line(mistake: str) -> None:
    make, says = MISTAKES[mistake]
    data = make()
    data = data if isinstance(data, tuple) else (data,)
    assert says in refusal(lambda: twofold.fit(NETS["feedforward"](), *data, epochs=1, batch=None), DataError)


def test_a_loader_has_its_own_batches_and_does_not_say_which_case_is_which(digits: Dataset) -> None:
    loader = DataLoader(TensorDataset(*some(digits)), batch_size=50)
    said = refusal(lambda: twofold.fit(NETS["feedforward"](), loader, epochs=1, batch=20), SettingError)
    assert said == "batch is 20, but that of the DataLoader is 50: omit batch"
    said = refusal(lambda: twofold.fit(NETS["feedforward"](), loader, epochs=1, negatives="stored"), SettingError)
    assert said.startswith("--negatives is stored, but a DataLoader does not number its images")


def test_a_lone_image_of_a_loader_has_no_other_to_be_mixed_with(digits: Dataset) -> None:
    loader = DataLoader(TensorDataset(*some(digits, 51)), batch_size=50)
    net = twofold.Unsupervised(dense(64, (20,)), 10)
    assert "set drop_last, or give tensors" in refusal(lambda: twofold.fit(net, loader, epochs=1), DataError)
