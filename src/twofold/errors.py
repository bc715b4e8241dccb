"""Errors caused by an input, a file or a setting. Each message is one line and contains a remedy."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable


class TwofoldError(Exception):
    """Base class of the errors of this package. Messages state the invalid value, the expected value and a remedy."""


class DataError(TwofoldError, ValueError):
    """Data that is missing, damaged, or has an unexpected shape or range."""


class RunError(TwofoldError):
    """A run folder or checkpoint that is missing, damaged, or belongs to a net of another architecture."""


class SettingError(TwofoldError, ValueError):
    """A hyper-parameter or option outside its range, or an unknown name."""


class ArgumentError(TwofoldError, TypeError):
    """An argument of the wrong type that cannot be converted unambiguously."""


class DeviceError(TwofoldError):
    """Hardware, or simulated hardware, that does not respond or returns an invalid result."""


class Diverged(TwofoldError):
    """A training run that stopped because a layer has NaN or infinite values or has collapsed."""


class Interrupted(KeyboardInterrupt):
    """A training run stopped by Ctrl-C or a signal. The message states which results are saved and how to continue."""


class Remark(UserWarning):
    """A warning of this package. The command line prints it as ``twofold: note: ...``."""


def remark(text: str) -> None:
    """Issue a `Remark` with a one-line text."""
    warnings.warn(text, Remark, stacklevel=3)


def unknown(kind: str, name: str, known: Iterable[str]) -> SettingError:
    """Return an error for a ``name`` that is not in ``known``. The message suggests the most similar known name.

    Args:
        kind: word for the type of the named object, such as ``device``, used in the message.
        name: the unknown name.
        known: all valid names.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(names)}"
    return SettingError(f"unknown {kind} {name!r}: {hint}")
