"""Errors caused by an input, a file or a setting. Each message is one line that says what to do."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable


class TwofoldError(Exception):
    """An invalid input or setting. The message names it, the expected value, and the remedy."""


class DataError(TwofoldError, ValueError):
    """Data that is missing, damaged, or has an unexpected shape or range."""


class RunError(TwofoldError):
    """A run folder or checkpoint that is missing, damaged, or belongs to another architecture."""


class SettingError(TwofoldError, ValueError):
    """A hyper-parameter or option outside its range, or an unknown name."""


class ArgumentError(TwofoldError, TypeError):
    """An argument of the wrong type that cannot be converted unambiguously."""


class DeviceError(TwofoldError):
    """Hardware, or a simulation of it, that does not answer or returns an invalid answer."""


class Diverged(TwofoldError):
    """A training that stopped because a layer's numbers are no longer finite or the layer has collapsed."""


class Interrupted(KeyboardInterrupt):
    """A training stopped by Ctrl-C or a signal. The message says what is saved and how to continue."""


class Remark(UserWarning):
    """A notice that does not stop the work. The command line prints it as ``twofold: note: ...``."""


def remark(text: str) -> None:
    """Warn with a one-line `Remark`, attributed to the caller of the library."""
    warnings.warn(text, Remark, stacklevel=3)


def unknown(kind: str, name: str, known: Iterable[str]) -> SettingError:
    """Return an error for a ``name`` that is not in ``known``, with the most similar name as a suggestion."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(names)}"
    return SettingError(f"unknown {kind} {name!r}: {hint}")
