"""A part of a net that nobody can differentiate: any callable from batch to batch, between layers that learn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from twofold.checks import convert, typed
from twofold.checks.bounds import counts, floating, positive
from twofold.errors import ArgumentError, DeviceError, SettingError, TwofoldError
from twofold.layers.layer import FeedForwardLayer
from twofold.normalize import NORMALIZE


class BlackBox(nn.Module):
    """Any callable, which stands in a list of layers behind the one whose activity it changes.

    It is called with the normalized activity of the layer before it, a new float32 tensor ``(rows, inputs)`` without a
    graph, on the CPU, or on the net's device where the callable is a module, which moves with the net. It gives
    ``(rows, units)``: a tensor, an array, anything that NumPy takes for one, of floating-point numbers, whole numbers
    or truth values. That at fixed length is what the next layer and the softmax see. Nobody asks it for a derivative,
    and autograd is off while it works. The layers around it learn as ever.

    A layer's step calls it once, with the positive rows and behind them as many negative ones, so that a box whose
    state changes from call to call meets both passes of a pair in the same state. The pass that the softmax learns from
    and each pass of a test are calls of their own. A box that changes from row to row meets the two rows of a pair
    half a batch apart.

    What a box that is a module keeps in parameters and buffers lies in ``state_dict`` and in checkpoints, as of any
    module; nothing in it learns. State that is elsewhere is the box's own affair: a resumed training finds it as it is
    then, and is bitwise the same where the box is.

    Args:
        function: the callable, such as a function of your own, a module, or an `instrument.Instrument`.
        units: numbers that it gives for each row. Where they are not stated, the net calls it once when it is built,
            with two rows of zeros.
        timeout: seconds after which a call has failed; the callable then works in a thread of its own. An
            ``Instrument`` has a timeout already.

    Raises:
        DeviceError: here and in each call: it fails, gives something else than the above, or does not answer in time.
    """

    @typed
    def __init__(
        self, function: Callable[[Tensor], Any], units: int | None = None, timeout: float | None = None
    ) -> None:
        super().__init__()
        counts(units=units)
        positive(timeout=timeout)
        self.function = function
        self.units = units
        self.timeout = timeout
        self.normalize: Callable[[Tensor], Tensor] = NORMALIZE["length"]
        self._awaited: list[Any] | None = None

    def _join(self, stack: list[FeedForwardLayer]) -> None:
        """Stand behind the topmost layer of a stack.

        Raises:
            SettingError: there is none.
        """
        if not stack:
            raise SettingError("layers: the first is a BlackBox, expected a layer that learns: put one before it")
        self.normalize = stack[-1].rule.normalize
        stack[-1].fixed.append(self)

    @property
    def title(self) -> str:
        """What it is called in errors."""
        return f"the box {getattr(self.function, '__name__', type(self.function).__name__)}"

    @typed
    @torch.no_grad()
    def forward(self, activity: Tensor) -> Tensor:
        """What the box makes of activity ``(rows, ...)``: ``(rows, units)``, in the type and on the device of it."""
        floating("activity", activity, "rows", "...")
        rows = self.normalize(activity).detach().flatten(1).to(torch.float32, copy=True)
        if not isinstance(self.function, nn.Module):
            rows = rows.cpu()
        result = self._call(rows) if self.timeout is None else self._call_within(rows, self.timeout)
        found = as_batch(self.title, result, len(rows), self.units)
        self.units = found.shape[1]
        return found.to(activity, copy=True)

    def _call(self, rows: Tensor) -> Any:
        with torch.no_grad():  # which each thread decides for itself
            try:
                return self.function(rows)
            except TwofoldError:
                raise
            except Exception as error:
                raise DeviceError(
                    f"{self.title} failed with {type(error).__name__} ({one_line(error)}) at rows of the shape "
                    f"{tuple(rows.shape)}: call it by itself with torch.zeros{tuple(rows.shape)}"
                ) from error

    def _call_within(self, rows: Tensor, seconds: float) -> Any:
        """Call the box in a thread that nobody has to wait for."""
        if self._awaited == []:
            raise DeviceError(f"{self.title} is still at work on an earlier call: end that, or make a new one")
        answer: list[Any] = []

        def work() -> None:
            try:
                answer.append((self._call(rows), None))
            except BaseException as error:
                answer.append((None, error))

        self._awaited = answer
        thread = threading.Thread(target=work, name=self.title, daemon=True)
        thread.start()
        thread.join(seconds)
        if not answer:
            raise DeviceError(
                f"{self.title} has not answered within {seconds:g} s: see why it hangs, or give it a longer timeout"
            )
        result, error = answer[0]
        if error is not None:
            raise error
        return result

    def extra_repr(self) -> str:
        return f"{self.title}, units={self.units}"


def as_batch(title: str, result: Any, rows: int, units: int | None) -> Tensor:
    """What hardware, or what stands in for it, gave, as finite float32 numbers ``(rows, units)``.

    Args:
        title: what it is called in errors.
        result: what it gave.
        rows: of the batch that it was given.
        units: numbers for each row; any, where it is not known.

    Raises:
        DeviceError: it is something else.
    """
    if not isinstance(result, Tensor) and hasattr(result, "__array__"):
        result = np.asarray(result)
    try:
        found: Tensor = convert(f"what {title} gives", result, Tensor)
    except ArgumentError as error:
        raise DeviceError(f"{error}: return one row of numbers for each row") from error
    if found.layout != torch.strided or found.is_meta or found.is_complex():
        raise DeviceError(f"{title} gives complex numbers or a tensor without numbers in it: return real, dense ones")
    if found.ndim != 2 or len(found) != rows or found.shape[1] != (units or found.shape[1]) or not found.shape[1]:
        raise DeviceError(
            f"{title} gives numbers of the shape {tuple(found.shape)} for {rows} rows, expected "
            f"({rows}, {units or 'units'}): return one row for each row, of the same length at every call"
        )
    found = found.detach().to(torch.float32)
    if not torch.linalg.vector_norm(found).isfinite():
        raise DeviceError(f"{title} gives numbers that are NaN, infinite or too large: return finite ones")
    return found


def one_line(text: object) -> str:
    """What others say, as a part of a line: printable, and not long."""
    words = " ".join(str(text).split())[:200]
    return "".join(each if each.isprintable() else "?" for each in words) or "no reason given"
