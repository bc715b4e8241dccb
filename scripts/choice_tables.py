"""Tables of what was tried on held-out training images, from the records results/*/choices.json."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from markdown_table import NONE, ROOT, markdown

from twofold.files import read_json


def unsupervised_choices() -> str:
    """What was tried for nets without labels on held-out training images, the best first."""
    path = ROOT / "results" / "unsupervised" / "choices.json"
    if not path.exists():
        return NONE
    tried = sorted(read_json(path)["tried"], key=lambda one: one["validation error %"])
    rows = [
        [
            ", ".join(f"{name} {value}" for name, value in one["changed"].items()) or "as the base",
            f"{one['validation error %']:.2f}",
            f"{one['train error %']:.2f}",
        ]
        for one in tried
    ]
    return markdown(["changed", "held-out error %", "training error %"], rows)


def recurrent_choices(net: str) -> str:
    """What was tried for a recurrent net on held-out training images, the best slow test first."""
    path = ROOT / "results" / net / "choices.json"
    if not path.exists():
        return NONE
    tried = sorted(read_json(path)["tried"], key=lambda one: one["validation error %"]["slow"])
    tests = [
        test for test in ("slow", "fast", "settled", "both") if any(test in one["validation error %"] for one in tried)
    ]
    rows = [
        [
            ", ".join(f"{name} {value}" for name, value in one["changed"].items()) or "as the base",
            *(f"{found:.2f}" if (found := one["validation error %"].get(test)) else "-" for test in tests),
            f"{one['visits in the last epoch']:.2f}",
        ]
        for one in tried
    ]
    return markdown(["changed", *(f"{test} %" for test in tests), "share of images in the last epoch"], rows)


def twin_choices() -> str:
    """What was tried for the twin on CIFAR-10, on held-out training images, the best first."""
    path = ROOT / "results" / "cifar" / "choices.json"
    if not path.exists():
        return NONE
    tried = sorted(read_json(path)["twin"], key=lambda one: one["validation error %"])
    rows = [
        [
            *(str(one[name]) for name in ("images", "epochs", "rate", "decay")),
            f"{one['validation error %']:.2f}",
            f"{one['train error %']:.2f}",
        ]
        for one in tried
    ]
    return markdown(["images", "epochs", "rate", "decay", "held-out error %", "training error %"], rows)


def regime_choices() -> str:
    """What was tried for few images, on held-out training images."""
    path = ROOT / "results" / "regime" / "choices.json"
    if not path.exists():
        return NONE
    rows = [
        [
            str(one["images of a class"]),
            one["method"],
            str(one["decay"]),
            *(
                f"{one['validation error %'][test]:.2f}" if test in one["validation error %"] else "-"
                for test in ("slow", "fast")
            ),
        ]
        for one in read_json(path)["tried"]
    ]
    return markdown(["images of a class", "method", "decay", "slow %", "fast %"], rows)


def choices() -> str:
    """What was tried, on held-out training images unless the row says otherwise."""
    rows = []
    names = ("objective", "temperature", "decay", "rate", "tolerance", "neutral_share", "epochs")
    for path in sorted((ROOT / "results" / "choices").glob("*.json")):
        result = read_json(path)
        settings, found = result["settings"], result["validation_error"] or result["test_error"]
        tested = "held out" if result["validation_error"] else "test set"
        errors = [f"{100 * found[test]:.2f}" if test in found else "-" for test in ("slow", "fast")]
        layers = " / ".join(f"{100 * error:.2f}" for error in result["layer_error"]) or "-"
        chosen = [str(settings.get(name, "-")) for name in names]
        rows.append([result["method"], *chosen, tested, *errors, layers])
    return markdown(["method", *names, "tested on", "slow %", "fast %", "each layer alone %"], rows) if rows else NONE


TABLES: dict[str, Callable[[], str]] = {
    "recurrent-choices": partial(recurrent_choices, "recurrent"),
    "cifar-choices": partial(recurrent_choices, "cifar"),
    "cifar-twin-choices": twin_choices,
    "regime-choices": regime_choices,
    "unsupervised-choices": unsupervised_choices,
    "choices": choices,
}
