"""Import optional dependencies."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from twofold.errors import SettingError


def needed(package: str, extra: str, work: str) -> Any:
    """Import an optional package.

    Args:
        package: name of the package.
        extra: the extra of twofold that installs it.
        work: the task that needs it, for the error message.

    Raises:
        SettingError: the package is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise SettingError(f"{work} needs {package}, which is not installed: pip install 'twofold[{extra}]'") from error
