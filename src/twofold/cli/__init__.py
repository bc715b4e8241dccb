"""The command line."""

from twofold.cli.main import main

__all__ = ["main"]
