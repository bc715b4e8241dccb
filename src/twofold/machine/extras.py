"""Import optional dependencies."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from twofold.errors import SettingError


def needed(package: str, extra: str, work: str) -> Any:
    """Import and return an optional package.

    Args:
        package: name of the package.
        extra: extra of twofold that installs the package, as in ``pip install 'twofold[extra]'``.
        work: task that needs the package, for the error message.

    Raises:
        SettingError: the package is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise SettingError(f"{work} needs {package}, which is not installed: pip install 'twofold[{extra}]'") from error
