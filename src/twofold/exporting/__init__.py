"""Trained nets for other programs and other people."""

from twofold.exporting.export import KINDS, export

__all__ = ["KINDS", "export"]
