"""Export of trained nets to other programs and to the Hugging Face hub."""

from twofold.exporting.export import KINDS, export

__all__ = ["KINDS", "export"]
