"""Faces of a training on the way: a bar on a terminal, a line an epoch anywhere else. All on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

HIDDEN = {"epoch", "seconds", "rate", "visits"}
"""Metrics that the line of an epoch leaves out."""


def describe(metrics: dict[str, Any]) -> str:
    """One epoch in a few words: errors, and the goodness of positive and negative data relative to the threshold."""
    words = []
    for name, value in metrics.items():
        said = name.replace("_", " ")
        if name == "layers":
            pairs = [f"{layer['positive']:.2f}/{layer['negative']:.2f}" for layer in value if layer]
            words.append("goodness +/- " + " ".join(pairs))
        elif isinstance(value, dict):
            words += [f"{test} {100 * error:.2f} %" for test, error in value.items()]
        elif name.endswith("error"):
            words.append(f"{said} {100 * value:.2f} %")
        elif name not in HIDDEN and value is not None:
            words.append(f"{said} {value:.4g}")
    return ", ".join(words)


class Bar:
    """A progress bar with errors, goodness and time left; where stderr is no terminal, a line for each epoch.

    Args:
        title: what is trained.
        epochs: how many epochs it takes.
    """

    def __init__(self, title: str, epochs: int) -> None:
        self.title = title
        self.epochs = epochs
        self.console = Console(stderr=True)
        self.start = time.perf_counter()
        self.first: float | None = None
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[epoch]}"),
            TextColumn("{task.fields[words]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task(title, total=epochs, words="", epoch=f"epoch 1/{epochs}")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def batch(self, done: float) -> None:
        """Move the bar to ``done`` epochs."""
        self.bar.update(self.task, completed=done, epoch=f"epoch {min(int(done) + 1, self.epochs)}/{self.epochs}")

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Show the epoch's figures."""
        number = metrics["epoch"]
        self.bar.update(self.task, completed=number, words=describe(metrics))
        if self.console.is_terminal:
            return
        now = time.perf_counter()
        if self.first is None:
            self.first = number - 1
        left = (now - self.start) / (number - self.first) * (self.epochs - number)
        line = f"{self.title} {number}/{self.epochs} {metrics['seconds']:.1f} s, {left:.0f} s left: {describe(metrics)}"
        print(line, file=sys.stderr, flush=True)
