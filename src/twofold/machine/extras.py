"""Packages that not every installation has."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from twofold.errors import SettingError


def needed(package: str, extra: str, work: str) -> Any:
    """Import a package.

    Args:
        package: which.
        extra: of this project, that brings it.
        work: what it is needed for.

    Raises:
        SettingError: it is not here.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise SettingError(f"{work} needs {package}, which is not here: pip install 'twofold[{extra}]'") from error
