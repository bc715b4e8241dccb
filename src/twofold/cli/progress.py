"""Progress display on stderr: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import Any, ClassVar, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

EVERY = 5.0
"""Minimum number of seconds between two lines, without a terminal. The line of the last epoch is always printed."""


def describe(metrics: dict[str, Any]) -> str:
    """Format the metrics of an epoch in one line, as declared in `Method.reported`."""
    from twofold.methods import reported  # here, since it imports PyTorch
    from twofold.methods.metrics import number

    known, texts = reported(), []
    for name, value in metrics.items():
        if name in known:
            texts.append(known[name].show(value))
        elif isinstance(value, int | float):
            texts.append(number(name.replace("_", " "))(value))
    return ", ".join(text for text in texts if text)


class Bar:
    """A progress bar with errors, goodness and remaining time. Without a terminal, a line is printed every few seconds.

    The remaining time is that of the epochs. Tests and plots follow, whose time is not known in advance.

    A metric is explained before the first line that shows it.

    Args:
        title: name of the recipe.
        epochs: number of epochs.

    Attributes:
        explained: names of the metrics that were already explained by any bar.
    """

    explained: ClassVar[set[str]] = set()

    def __init__(self, title: str, epochs: int) -> None:
        self.title = title
        self.epochs = epochs
        self.console = Console(stderr=True)
        self.start = time.perf_counter()
        self.newest = -math.inf
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
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def batch(self, done: float) -> None:
        """Move the bar to ``done`` completed epochs, including a fraction."""
        self.bar.update(self.task, completed=done, epoch=f"epoch {min(int(done) + 1, self.epochs)}/{self.epochs}")

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Show the metrics of an epoch."""
        number = metrics["epoch"]
        self.bar.update(self.task, completed=number, words=describe(metrics))
        if self.console.is_terminal:
            return
        now = time.perf_counter()
        if self.first is None:
            self.first = number - 1
        if number < self.epochs and now - self.newest < EVERY:
            return
        self.newest = now
        self._explain(metrics)
        left = (now - self.start) / (number - self.first) * (self.epochs - number)
        remaining = f"{left:.0f} s of training left" if number < self.epochs else "testing next"
        line = f"{self.title} {number}/{self.epochs} {metrics['seconds']:.1f} s, {remaining}: {describe(metrics)}"
        print(line, file=sys.stderr, flush=True)

    def _explain(self, metrics: dict[str, Any]) -> None:
        """Print explanations of the metrics that were not yet explained."""
        from twofold.methods import reported

        known = {name: metric.meaning for name, metric in reported().items() if name not in self.explained}
        new = {name: meaning for name, meaning in known.items() if meaning and name in metrics}
        if new:
            self.explained.update(new)
            print("; ".join(new.values()), file=sys.stderr, flush=True)
