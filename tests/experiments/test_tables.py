"""The tables of the documents: no figure in them is typed by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_figure_in_the_documents_comes_from_a_committed_record() -> None:
    """Otherwise a table may show what no command has measured."""
    command = [sys.executable, "-m", "twofold_lab.docs", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}: run `make tables`"
