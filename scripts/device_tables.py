"""Tables of the claims cancel, analog and mortal, from the kept records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from markdown_table import NONE, markdown

Records = Mapping[str, Mapping[str, Any]]


def cancel(records: Records) -> str:
    """Cosine of the update to the noise-free one, and error, by learner, side and noise."""
    record = records["cancel"]
    cosines = {**record["measured"]["cosine"], "backprop": record["twin"]["cosine"]}
    errors = {**record["measured"]["error %"], "backprop": record["twin"]["error %"]}
    noises = list(next(iter(cosines.values()))["shared"])
    rows = []
    for learner, sides in cosines.items():
        for side, found in sides.items():
            made = [spread(errors[learner][side][noise]["fast"]) for noise in noises]
            none = spread(errors[learner]["no noise"]["fast"])
            rows.append([learner, side, *(f"{found[noise]:.3f}" for noise in noises), none, *made])
    heads = [*(f"cosine, noise {noise}" for noise in noises), "error, %, no noise"]
    return markdown(["learner", "noise is", *heads, *(f"noise {noise}" for noise in noises)], rows)


def analog(records: Records) -> str:
    """Errors of every learner by mismatch, the least that needs no oracle in bold."""
    record = records["analog"]
    ours, twin = record["measured"], record["twin"]
    sweep = {
        mismatch: {**each, **twin["error % by mismatch"][mismatch]}
        for mismatch, each in ours["error % by mismatch"].items()
    }
    rows = [
        [
            learner,
            *(
                f"**{spread(each[learner])}**"
                if ours["best by mismatch"][mismatch] == learner
                else spread(each[learner])
                for mismatch, each in sweep.items()
            ),
        ]
        for learner in next(iter(sweep.values()))
    ]
    for name, found in (("forward-forward", ours), ("backprop", twin)):
        rows.append([f"{name}, without a device", *[spread(found["error %, without a device"])] * len(sweep)])
    return markdown(["learner", *(f"mismatch {100 * float(mismatch):g} %" for mismatch in sweep)], rows)


def recovery(records: Records) -> str:
    """Errors before and after each jump, by batches of learning."""
    record = records["analog"]
    rows, batches = [], []
    for learner, side in (("forward-forward", "measured"), ("chip in the loop", "twin")):
        for jump, found in record[side]["recovery"].items():
            batches = found["batches"]
            rows.append([learner, jump, *numbers([found["before"], *found["after"]])])
    return markdown(["learner", "jump", "before", *(f"after {number} batches" for number in batches)], rows)


def mortal(records: Records) -> str:
    """Originals and copies by design of the device, of both learners."""
    record = records["mortal"]
    ours, twin = record["measured"]["by design"], record["twin"]["by design"]
    parts = ("originals", "copies", "copies / originals")
    rows = [[design, *numbers([each[design][part] for each in (ours, twin) for part in parts])] for design in ours]
    heads = [f"{learner}: {part}" for learner in ("Forward-Forward", "chip in the loop") for part in parts]
    return markdown(["mismatch", *heads], rows)


def students(records: Records) -> str:
    """Errors of students, and the share of the gap that they recover, by the number of images."""
    found = records["mortal"]["measured"]["distillation"]
    rows = []
    for kind, errors in found["error % of students, by images"].items():
        for count, error in errors.items():
            rows.append([kind, count, spread(error), f"{100 * found['share recovered'][kind][count]:.0f} %"])
    few = next(name for name in found if name.endswith("labels alone"))
    rows.append([few.removeprefix("error % with "), "-", spread(found[few]), "0 %"])
    rows.append(["the teacher", "-", f"{found['error % of the teacher']:.2f}", "100 %"])
    return markdown(["labels of the student", "images", "error, %", "of the gap"], rows)


def numbers(values: Iterable[float]) -> list[str]:
    """Numbers with two decimals."""
    return [f"{value:.2f}" for value in values]


def spread(value: Mapping[str, float]) -> str:
    """Mean and standard deviation."""
    return f"{value['mean']:.2f} ± {value['std']:.2f}"


def kept(claim: str, table: Callable[[Records], str]) -> Callable[[Records], str]:
    """The table, where there is a record of the claim at full size."""
    return lambda records: table(records) if claim in records and records[claim]["size"] == "full" else NONE


OF_RECORDS = {
    "cancel": kept("cancel", cancel),
    "analog": kept("analog", analog),
    "recovery": kept("analog", recovery),
    "mortal": kept("mortal", mortal),
    "students": kept("mortal", students),
}
