"""What can go wrong because of what twofold was given: each is told in one line that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TwofoldError(Exception):
    """A wrong input or setting. The message names it, says what was expected and what to do."""


class DataError(TwofoldError, ValueError):
    """Data that are missing, damaged, or of another shape or range than expected."""


class RunError(TwofoldError):
    """A run folder or checkpoint that is missing, damaged, or belongs to another architecture."""


class SettingError(TwofoldError, ValueError):
    """A hyper-parameter or option outside its range, or a name that does not exist."""


class Diverged(TwofoldError):
    """Training stopped by itself: a layer's numbers are not finite any more, or the layer has collapsed."""


def unknown(kind: str, name: str, known: Iterable[str]) -> SettingError:
    """The error for a ``name`` that is none of ``known``, with the nearest one suggested."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(names)}"
    return SettingError(f"unknown {kind} {name!r}: {hint}")
