"""One right call of every constructor and method of the estimators, as in `public_calls`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import numpy as np

from twofold import ForwardForwardClassifier, ForwardForwardFeatures

TABLE, LABELS = np.random.default_rng(0).normal(size=(12, 9)), np.arange(12) % 3
SHARED = {
    **{"widths": (4,), "epochs": 2, "batch": 3, "rate": 0.1, "random_state": 0},
    **{"device": "cpu", "precision": "fp32", "verbose": 0},
}
CLASSIFIER: dict[str, Any] = {
    **{**SHARED, "test": "slow", "early_stopping": True, "validation_fraction": 0.5, "n_iter_no_change": 2},
    **{"reject": 0.1, "reject_label": -1},
}
FEATURES: dict[str, Any] = {**SHARED, "shape": (3, 3)}


def constructor(kind: type[Any], arguments: dict[str, Any]) -> Callable[[], Any]:
    """The constructor of an estimator, whose arguments are looked at when it fits."""

    def fitted(*given: Any, **named: Any) -> Any:
        return kind(*given, **named).fit(TABLE, LABELS).history_

    fitted.__signature__ = inspect.signature(kind)  # type: ignore[attr-defined]
    fitted.__annotations__ = get_type_hints(kind.__init__)
    return lambda: (fitted, arguments)


def method(name: str, **arguments: Any) -> Callable[[], Any]:
    """A method of an estimator that has learned."""
    kind, _, method = name.partition(".")
    made = ForwardForwardClassifier(**CLASSIFIER) if "Classifier" in kind else ForwardForwardFeatures(**FEATURES)
    return lambda: (getattr(made.fit(TABLE, LABELS), method), {"X": TABLE, **arguments})


ESTIMATOR_CALLS: dict[str, Callable[[], Any]] = {
    "ForwardForwardClassifier": constructor(ForwardForwardClassifier, CLASSIFIER),
    "ForwardForwardFeatures": constructor(ForwardForwardFeatures, FEATURES),
    **{
        name: method(name, y=LABELS, **more)
        for name, more in {
            "ForwardForwardClassifier.fit": {},
            "ForwardForwardClassifier.partial_fit": {"classes": [0, 1, 2]},
            "ForwardForwardFeatures.fit": {},
        }.items()
    },
    **{
        name: method(name)
        for name in (
            *("ForwardForwardClassifier.predict", "ForwardForwardClassifier.predict_proba"),
            *("ForwardForwardClassifier.predict_log_proba", "ForwardForwardClassifier.score_samples"),
            "ForwardForwardFeatures.transform",
        )
    },
}
