"""Command line interface."""

from twofold.cli.main import main

__all__ = ["main"]
