"""Copies of nets, in memory or in a file: they know all that the net knows, and learn by themselves.

Oracles: the net itself, bitwise; addresses in memory. Were a copy to share a gradient with its original, two trainings
that are compared would be one.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from support.small_nets import NETS, drawn
from twofold.checkpoint import module_tensors
from twofold.data import Dataset
from twofold.layers.layer import Learner

RATE, BATCH = 0.05, 20


def by_torch(net: Any) -> Any:
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "torch": by_torch,
}


def teach(net: Any, digits: Dataset, batch: int) -> None:
    """One batch, the same for every net that is given it."""
    images, labels = (part[batch * BATCH : (batch + 1) * BATCH] for part in digits.train)
    net.learn(images, labels, rate=RATE, **drawn(net, batch))


def taught(name: str, precision: str, digits: Dataset) -> Any:
    """A net that has learned and was tested, so that whatever it keeps for later is there."""
    net = NETS[name]()
    net.set_precision(precision)
    for batch in range(2):
        teach(net, digits, batch)
    net.predict(digits.test_images[:BATCH])
    return net


def unused(key: str) -> bool:
    """Whether only the top layer of a block uses this state of a layer."""
    return key.endswith(("mean_activity", "batches"))


def known(net: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module_tensors(net).items()}


EVERY = [
    pytest.param(name, precision, way, id=f"{name}, {precision}, {way}")
    for name in NETS
    for precision in ("fp32", "bf16")
    for way in WAYS
]


@pytest.mark.parametrize(("name", "precision", "way"), EVERY)
def test_a_copy_knows_and_says_what_the_net_knows(name: str, precision: str, way: str, digits: Dataset) -> None:
    net = taught(name, precision, digits)
    made = WAYS[way](net)
    torch.testing.assert_close(known(made), known(net), rtol=0, atol=0)
    assert made.state_dict().keys() == net.state_dict().keys()
    found, expected = (each.scores(digits.test_images[:BATCH]) for each in (made, net))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert [layer.compute for layer in made.stack] == [layer.compute for layer in net.stack]


@pytest.mark.parametrize(("name", "precision", "way"), EVERY)
def test_a_copy_learns_by_itself_and_as_the_net_would_have(
    name: str, precision: str, way: str, digits: Dataset
) -> None:
    """The same step bitwise: what only learning needs, such as smoothed gradients, has come along too."""
    net = taught(name, precision, digits)
    made, before = WAYS[way](net), known(net)
    for batch in (2, 3):
        teach(made, digits, batch)
    torch.testing.assert_close(known(net), before, rtol=0, atol=0)
    for batch in (2, 3):
        teach(net, digits, batch)
    torch.testing.assert_close(known(net), known(made), rtol=0, atol=0)
    changed = {key for key, tensor in known(net).items() if not torch.equal(tensor, before[key])}
    fixed = [key for key in before if "connectivity" in key or "threshold" in key or unused(key)]
    assert changed >= before.keys() - fixed


@pytest.mark.parametrize(("name", "precision", "way"), EVERY)
def test_values_and_smoothed_gradients_of_a_copy_are_its_own(
    name: str, precision: str, way: str, digits: Dataset
) -> None:
    net = taught(name, precision, digits)
    made = WAYS[way](net)
    places = [{each.data_ptr() for each in module_tensors(one).values() if each.numel()} for one in (net, made)]
    assert not places[0] & places[1]
    own = {id(tensor) for tensor in module_tensors(made).values()}
    learners = [part for part in made.modules() if isinstance(part, Learner)]
    learnables = list(dict.fromkeys(learnable for learner in learners for learnable in learner.learnables()))
    assert len(learnables) == len(list(made.parameters()))
    assert {id(tensor) for each in learnables for tensor in (each.value, each.velocity)} <= own


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", NETS)
def test_a_net_in_a_file_takes_no_room_for_what_can_be_made_again(name: str, precision: str, digits: Dataset) -> None:
    """Images that it was tested on, for instance, are nobody's business who is handed the net."""
    net = taught(name, precision, digits)
    before = len(pickle.dumps(net))
    for part in net.modules():
        if isinstance(part, Learner):
            part.forget()
    assert before <= 1.01 * len(pickle.dumps(net))
