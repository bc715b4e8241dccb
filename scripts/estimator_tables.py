"""Tables of what the estimators reach, from results/estimators.json."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from markdown_table import NONE, ROOT, markdown

from twofold.files import read_json

PATH = ROOT / "results" / "estimators.json"
OURS, MLP, LINEAR = "ForwardForwardClassifier", "MLPClassifier", "LogisticRegression"


def part(name: str) -> dict[str, Any] | None:
    """What was measured in one part of the record."""
    found: dict[str, Any] = read_json(PATH) if PATH.exists() else {}
    measured: dict[str, Any] | None = found.get(name, {}).get("measured")
    return measured


def defaults() -> str:
    """Right answers and seconds to fit on each set, beside scikit-learn's classifiers."""
    found = part("defaults")
    if not found:
        return NONE
    rows, behind, ratios = [], [], []
    for name, each in found.items():
        behind.append(each[OURS]["right %"] - each[MLP]["right %"])
        ratios.append(each[OURS]["seconds"] / each[MLP]["seconds"])
        right = [f"{each[one]['right %']:.1f} ± {each[one]['deviation']:.1f}" for one in (OURS, MLP, LINEAR)]
        seconds = [f"{each[one]['seconds']:.3f}" for one in (OURS, MLP)]
        rows.append([name, *right, f"{behind[-1]:+.1f}", *seconds, f"{ratios[-1]:.2f}"])
    mean = [f"{fmean(each[one]['right %'] for each in found.values()):.1f}" for one in (OURS, MLP, LINEAR)]
    rows.append(["mean", *mean, f"**{fmean(behind):+.1f}**", "", "", f"**{fmean(ratios):.2f}**"])
    heads = ["right answers in %", "Forward-Forward", "MLP", "logistic regression", "beside MLP"]
    return markdown([*heads, "s to fit", "s, MLP", "ratio"], rows)


def calibration() -> str:
    """Errors, log-loss, Brier score and calibration error beside the twin's."""
    found = part("calibration")
    if not found:
        return NONE
    rows = [
        [
            name,
            one,
            f"{each['error %']:.1f}",
            *(f"{each[key]:.3f}" for key in ("log-loss", "Brier", "calibration error")),
        ]
        for name, contenders in found.items()
        for one, each in contenders.items()
    ]
    return markdown(["", "", "error %", "log-loss", "Brier", "calibration error"], rows)


def unlike() -> str:
    """How well unlike cases are told from test cases."""
    found = part("unlike")
    if not found:
        return NONE
    left_out = "digits less one class"
    single = {name: each for name, each in found.items() if not name.startswith(left_out)}
    several = [each for name, each in found.items() if name.startswith(left_out)]
    kinds = list(several[0])
    rows = [[name, *(f"{each[kind]:.3f}" for kind in kinds)] for name, each in single.items()]
    rows.append([f"{left_out}, mean of ten", *(f"{fmean(each[kind] for each in several):.3f}" for kind in kinds)])
    heads = ["area under the curve", "`score_samples`", "largest probability", "twin's largest probability"]
    return markdown(heads, rows)


def hundred() -> str:
    """Errors on a hundred classes."""
    found = part("hundred")
    if not found:
        return NONE
    errors, seconds = found["error %"], found["seconds"]
    rows = [
        [name, f"{error:.2f}", f"{error / errors['twin']:.2f}", f"{seconds[name]:.0f}" if name in seconds else ""]
        for name, error in errors.items()
    ]
    return markdown(["100 classes", "error %", "beside the twin's", "s to fit"], rows)


def features() -> str:
    """Right answers of a logistic regression on several features of the digits."""
    found = part("features")
    if not found:
        return NONE
    return markdown(
        ["what a logistic regression sees", "right %"], [[kind, f"{right:.1f}"] for kind, right in found.items()]
    )


TABLES = {
    "estimator-defaults": defaults,
    "estimator-calibration": calibration,
    "estimator-unlike": unlike,
    "estimator-hundred": hundred,
    "estimator-features": features,
}
