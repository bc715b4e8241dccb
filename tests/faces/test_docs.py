"""The documents: what they tell a reader to type works.

Oracle: the documented contract.
"""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from twofold.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = sorted(
    {
        line.split("#")[0].strip().removesuffix(" ...")
        for page in PAGES
        for line in re.findall(r"^ {4}(twofold .*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        if "RECIPE" not in line
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_a_page_shows_exists_with_its_fields(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split()[1:], "--help"]) == 0, capsys.readouterr().err
    assert "twofold" in capsys.readouterr().out


SNIPPETS = [
    (page, number, code)
    for page in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL), 1)
]
"""Every block of Python: its page, its number on the page from 1, and itself."""


@cache
def what_it_prints(code: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def what_the_python_prints(name: str, number: int = 1) -> str:
    """What a block of Python on a page prints."""
    (code,) = (code for page, place, code in SNIPPETS if (page.name, place) == (name, number))
    return what_it_prints(code)


@pytest.mark.slow
@pytest.mark.parametrize("code", [pytest.param(code, id=f"{page.name}-{number}") for page, number, code in SNIPPETS])
def test_every_python_that_a_page_shows_runs_by_itself(code: str) -> None:
    """A reader copies one block, not those before it."""
    what_it_prints(code)


@pytest.mark.slow
def test_the_python_of_the_readme_trains_a_net_that_knows_the_digits() -> None:
    said = what_the_python_prints("README.md")
    errors = dict(re.findall(r"'(\w+)': ([\d.e-]+)", said))
    assert float(errors["slow"]) < 0.1
    assert float(errors["fast"]) < 0.1


@pytest.mark.slow
def test_the_python_of_the_recurrent_page_learns_from_a_stream_what_is_positive() -> None:
    said = what_the_python_prints("recurrent.md")
    goodness = [float(value) for value in re.findall(r"tensor\((-?[\d.]+)\)", said)]
    assert goodness[0] > goodness[1]
    assert goodness[2] > goodness[3]


@pytest.mark.slow
def test_the_python_of_the_page_on_local_layers_makes_one() -> None:
    assert what_the_python_prints("unsupervised.md") == "(3, 32, 32) 3072 933156\n"


@pytest.mark.slow
def test_the_python_of_the_page_on_cifar_makes_a_net_with_fields() -> None:
    assert what_the_python_prints("cifar.md") == "torch.Size([2, 10])\n"
