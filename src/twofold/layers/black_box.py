"""Black boxes: callables without a derivative that transform the activity between two layers of a net."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from twofold.checks import check_arguments, convert
from twofold.checks.bounds import counts, positive
from twofold.errors import ArgumentError, DeviceError, SettingError, TwofoldError
from twofold.layers.layer import FeedForwardLayer
from twofold.normalize import NORMALIZE


class BlackBox(nn.Module):
    """A callable without a derivative that transforms the activity of the layer before it in a list of layers.

    The callable receives the normalized activity of the layer before it: a new float32 tensor ``(rows, inputs)``
    without a graph. If the callable is a module, it moves with the net, and the tensor is on the net's device;
    otherwise the tensor is on the CPU. The callable returns ``(rows, units)`` numbers: a tensor, an array or anything
    that NumPy can convert, of floating-point numbers, integers or booleans. The next layer and the softmax classifier
    receive these numbers normalized. Autograd is disabled during the call. The layers before and after the box learn as
    usual.

    One learning step calls the box once, with the positive rows followed by the same number of negative rows. If the
    state of a box changes from call to call, the positive and the negative row of a pair are therefore processed in the
    same state. If the state changes from row to row, the two rows of a pair are n rows apart, for n pairs in the batch.
    The forward pass for the softmax classifier and each forward pass of a test call the box separately.

    If the callable is a module, its parameters and buffers are part of ``state_dict`` and of checkpoints, but they are
    not trained. Any other state of the callable is not saved. A resumed training run is bitwise reproducible only if
    this other state is the same as before the interruption.

    Args:
        function: the callable, such as a function, a module or an `instrument.Instrument`.
        units: number of outputs per row. If ``None``, the net finds this number when the net is built, by calling the
            box with two rows of zeros.
        timeout: time limit of a call, in seconds. The callable then runs in a separate thread. An ``Instrument`` has
            its own timeout.

    Raises:
        DeviceError: when the net is built or in a call, the box raises an error, returns an invalid result, or exceeds
            the timeout.
    """

    @check_arguments
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
        """Add the box after the last layer of ``stack``, while a net is built.

        Raises:
            SettingError: the stack is empty.
        """
        if not stack:
            raise SettingError("layers: the first is a BlackBox, expected a layer that learns: add a layer before it")
        self.normalize = stack[-1].rule.normalize
        stack[-1].fixed.append(self)

    @property
    def title(self) -> str:
        """The name of the box in error messages."""
        return f"the box {getattr(self.function, '__name__', type(self.function).__name__)}"

    @torch.no_grad()
    def forward(self, activity: Tensor) -> Tensor:
        """Return the outputs ``(rows, units)`` for ``activity`` ``(rows, ...)``; dtype and device are unchanged."""
        rows = self.normalize(activity).detach().flatten(1).to(torch.float32, copy=True)
        if not isinstance(self.function, nn.Module):
            rows = rows.cpu()
        result = self._call(rows) if self.timeout is None else self._call_within(rows, self.timeout)
        outputs = as_batch(self.title, result, len(rows), self.units)
        self.units = outputs.shape[1]
        return outputs.to(activity, copy=True)

    def _call(self, rows: Tensor) -> Any:
        with torch.no_grad():  # grad mode is local to each thread
            try:
                return self.function(rows)
            except TwofoldError:
                raise
            except Exception as error:
                raise DeviceError(
                    f"{self.title} failed with {type(error).__name__} ({one_line(error)}) for an input of shape "
                    f"{tuple(rows.shape)}: to reproduce it, call the function with torch.zeros{tuple(rows.shape)}"
                ) from error

    def _call_within(self, rows: Tensor, seconds: float) -> Any:
        """Call the box in a daemon thread, wait for at most ``seconds``, and return the result."""
        if self._awaited == []:
            raise DeviceError(f"{self.title} is still busy with a call that timed out: end it, or create a new box")
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
                f"{self.title} did not return within {seconds:g} s: check why it hangs, or set a longer timeout"
            )
        result, error = answer[0]
        if error is not None:
            raise error
        return result

    def extra_repr(self) -> str:
        return f"{self.title}, units={self.units}"


def as_batch(title: str, result: Any, rows: int, units: int | None) -> Tensor:
    """Check the outputs of a black box or device and convert them to a float32 tensor ``(rows, units)``.

    Args:
        title: name of the device, for error messages.
        result: outputs of the device.
        rows: number of rows in the input of the device.
        units: expected number of outputs per row; ``None`` accepts any number.

    Raises:
        DeviceError: the outputs have the wrong type or shape, or are not finite.
    """
    if not isinstance(result, Tensor) and hasattr(result, "__array__"):
        result = np.asarray(result)
    try:
        batch: Tensor = convert(f"the output of {title}", result, Tensor)
    except ArgumentError as error:
        raise DeviceError(f"{error}: return one row of numbers for each input row") from error
    if batch.layout != torch.strided or batch.is_meta or batch.is_complex():
        raise DeviceError(f"{title} returned a complex, sparse or meta tensor: return dense, real numbers")
    if batch.ndim != 2 or len(batch) != rows or batch.shape[1] != (units or batch.shape[1]) or not batch.shape[1]:
        raise DeviceError(
            f"{title} returned the shape {tuple(batch.shape)} for {rows} input rows, expected "
            f"({rows}, {units or 'units'}): return one row for each input row, always with the same number of columns"
        )
    batch = batch.detach().to(torch.float32)
    if not torch.linalg.vector_norm(batch).isfinite():
        raise DeviceError(f"{title} returned numbers that are NaN, infinite or too large: return finite numbers")
    return batch


def one_line(text: object) -> str:
    """Return the text of an error or of a device as one printable line of at most 200 characters."""
    words = " ".join(str(text).split())[:200]
    return "".join(character if character.isprintable() else "?" for character in words) or "no reason given"
