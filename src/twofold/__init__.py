"""twofold: the Forward-Forward algorithm, learning with two forward passes and without backpropagation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twofold.api import *  # noqa: F403
    from twofold.api import __all__ as __all__

    __version__: str
else:

    def __getattr__(name: str) -> Any:
        """Import a submodule or a public name on first use, so that the command line starts without loading PyTorch."""
        from importlib import import_module, metadata, util

        if name == "__version__":
            return metadata.version("twofold")
        if util.find_spec(f"twofold.{name}"):
            return import_module(f"twofold.{name}")
        api = import_module("twofold.api")
        if name in ("__all__", *api.__all__):
            return getattr(api, name)
        raise AttributeError(f"module 'twofold' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
