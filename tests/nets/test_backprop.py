"""The backprop twin: it is the plain net that anybody would write, and learns as that does.

Oracle: a `torch.nn.Sequential` trained with SGD, in float64.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from twofold.layers.dense import dense
from twofold.learning import Rule
from twofold.methods import BackpropRecipe
from twofold.methods.backprop import Backpropagation
from twofold.methods.cases import TensorCases
from twofold.methods.method import Batch
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import FeedForward
from twofold.nets.net import evaluate
from twofold.normalize import EPS

PIXELS, CLASSES, WIDTHS, IMAGES = 12, 5, (9, 8, 7), 11


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = IMAGES) -> Tensor:
    return torch.rand(count, 1, 3, PIXELS // 3, generator=seeded(2), dtype=torch.float64)


def plain(net: Backprop) -> nn.Sequential:
    """The twin as anybody would write it, with the same weights."""
    sizes = (PIXELS, *WIDTHS, CLASSES)
    parts: list[nn.Module] = []
    for below, above, layer in zip(sizes[:-1], sizes[1:], net.layers, strict=True):
        linear = nn.Linear(below, above).double()
        linear.load_state_dict(layer.state_dict())
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def at_length_one(pictures: Tensor) -> Tensor:
    flat = pictures.flatten(1)
    return flat / (EPS + flat.square().mean(1, keepdim=True).sqrt())


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_twin_is_the_plain_net_and_learns_as_it_does(
    twin_recipe: BackpropRecipe, decay: float, weighted: bool
) -> None:
    """Every comparison with backprop relies on this: a weak twin would make Forward-Forward look good.

    Decay is beside the gradient, as in AdamW, and as strong as SGD's in the long run, when the velocity has caught up.
    """
    net = Backprop(PIXELS, WIDTHS, CLASSES, seeded()).double()
    nn.init.normal_(net.layers[-1].weight, std=0.3, generator=seeded(4))  # type: ignore[arg-type]
    model, labels = plain(net), torch.arange(IMAGES) % CLASSES
    torch.testing.assert_close(net(images()), model(at_length_one(images())))
    recipe = replace(twin_recipe, rate=0.1, smoothing=0.9, decay=decay)
    method = Backpropagation(net, recipe, TensorCases((images(), labels)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, foreach=False)
    weight = torch.tensor([0.5, 1.0, 1.1, 5.0]).repeat(IMAGES)[:IMAGES] if weighted else torch.ones(IMAGES)
    for progress in (0.0, 0.2, 0.5, 0.75, 0.9):
        rate = optimizer.param_groups[0]["lr"] = 0.1 * min(1.0, 2 * (1 - progress))
        optimizer.zero_grad()
        logits = model(at_length_one(images()))
        need = 1 - logits.detach().softmax(1)[torch.arange(IMAGES), labels]
        (weight * nn.functional.cross_entropy(logits, labels, reduction="none")).mean().backward()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data *= 1 - rate / (1 - 0.9) * decay * weight.mean()
        optimizer.step()
        difficulty = method.step(Batch(images(), labels, torch.arange(IMAGES), weight), progress).difficulty
        torch.testing.assert_close([p.data for p in net.parameters()], [p.data for p in model.parameters()])
    torch.testing.assert_close(difficulty, need)
    assert torch.equal(method.mistaken, logits.argmax(1) != labels)
    torch.testing.assert_close(net.fast(images()), model(at_length_one(images())).detach())


def narrow_twin() -> Backprop:
    net = Backprop(PIXELS, WIDTHS, CLASSES, seeded())
    nn.init.normal_(net.layers[-1].weight, std=0.3, generator=seeded(4))  # type: ignore[arg-type]
    net.set_precision("bf16")
    return net


@pytest.mark.parametrize("change", ["learn", "load", "edit"])
def test_the_narrow_copies_of_the_twins_weights_are_never_stale(twin_recipe: BackpropRecipe, change: str) -> None:
    net, labels = narrow_twin(), torch.arange(IMAGES) % CLASSES
    pictures = images().float()
    batch = Batch(pictures, labels, torch.arange(IMAGES), torch.ones(IMAGES))
    method = Backpropagation(net, replace(twin_recipe, rate=0.5), TensorCases((pictures, labels)))
    method.step(batch, 0.0)
    before = net.fast(pictures)
    if change == "learn":
        method.step(batch, 0.0)
    elif change == "load":
        net.load_state_dict(narrow_twin().state_dict())
    else:
        net.layers[0].weight.data.add_(1.0)
        net.layers[0].weight.requires_grad_(False)[0] += 1.0
    fresh = narrow_twin()
    fresh.load_state_dict(net.state_dict())
    assert not torch.equal(net.fast(pictures), before)
    assert torch.equal(net.fast(pictures), fresh.fast(pictures))


def test_a_narrow_twin_takes_nearly_the_step_of_a_wide_one_and_keeps_wide_weights(twin_recipe: BackpropRecipe) -> None:
    wide, thin, labels = narrow_twin(), narrow_twin(), torch.arange(IMAGES) % CLASSES
    wide.set_precision("fp32")
    first = [parameter.detach().clone() for parameter in wide.parameters()]
    for net in (wide, thin):
        method = Backpropagation(net, twin_recipe, TensorCases((images().float(), labels)))
        method.step(Batch(images().float(), labels, torch.arange(IMAGES), torch.ones(IMAGES)), 0.0)
    for old, one, other in zip(first, wide.parameters(), thin.parameters(), strict=True):
        assert other.dtype == torch.float32
        assert 0 < (other - one).norm() < 0.02 * (one - old).norm()


def test_the_twin_has_the_layers_of_the_net_it_is_compared_with() -> None:
    twin = Backprop(PIXELS, WIDTHS, CLASSES, seeded())
    net = FeedForward(dense(PIXELS, WIDTHS, Rule(), seeded()), CLASSES)
    shapes = [tuple(layer.weight.shape) for layer in net.layers]
    assert [tuple(layer.weight.shape) for layer in twin.layers] == [*shapes, (CLASSES, WIDTHS[-1])]


def test_the_twin_has_one_test_of_one_pass() -> None:
    twin, labels = Backprop(PIXELS, WIDTHS, CLASSES, seeded()).double(), torch.arange(IMAGES) % CLASSES
    nn.init.normal_(twin.layers[-1].weight, generator=seeded(4))  # type: ignore[arg-type]
    tested = evaluate(twin, images(), labels)
    wrong = (twin(images()).argmax(1) != labels).double().mean().item()
    assert tested.error == {"fast": pytest.approx(wrong)}
    assert (tested.metrics, tested.goodness) == ({"passes_per_image": {"fast": 1}, "layer_error": []}, None)
