"""Errors caused by the input, a file or a setting; each message is one line that says what to do."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable


class TwofoldError(Exception):
    """A wrong input or setting. The message names it, says what was expected and what to do."""


class DataError(TwofoldError, ValueError):
    """Data that is missing or damaged, or does not have the expected shape or range."""


class RunError(TwofoldError):
    """A run folder or checkpoint that is missing, damaged, or belongs to another architecture."""


class SettingError(TwofoldError, ValueError):
    """A hyper-parameter or option outside its range, or a name that does not exist."""


class ArgumentError(TwofoldError, TypeError):
    """An argument of the wrong type, which cannot be turned into the right one without guessing."""


class DeviceError(TwofoldError):
    """Hardware, or what stands in for it, that gives no answer, or something else than an answer."""


class Diverged(TwofoldError):
    """Training that stopped itself, because a layer's numbers are no longer finite or the layer has collapsed."""


class Interrupted(KeyboardInterrupt):
    """A training that was stopped, by Ctrl-C or a signal; the message says what is saved and how to go on."""


class Remark(UserWarning):
    """Something that is worth a line and stops nothing. The command line prints it as ``twofold: note: ...``."""


def remark(text: str) -> None:
    """Warn with a `Remark` of one line, on behalf of whoever called the library."""
    warnings.warn(text, Remark, stacklevel=3)


def unknown(kind: str, name: str, known: Iterable[str]) -> SettingError:
    """Return the error for a ``name`` that is not among ``known``; it suggests the nearest one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(names)}"
    return SettingError(f"unknown {kind} {name!r}: {hint}")
