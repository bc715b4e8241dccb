"""The documents: what they tell a reader to type works.

Oracle: the documented contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from support.programs import run_program
from twofold.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
Printed = Callable[[str, int], str]
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


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """What a block of Python prints, by the name of its page and its number. Each runs once, in a new process."""

    @cache
    def run(name: str, number: int) -> str:
        (code,) = (code for page, place, code in SNIPPETS if (page.name, place) == (name, number))
        program = tmp_path_factory.mktemp("snippet") / "program.py"
        program.write_text(code, encoding="utf-8")
        ended = run_program(program, program.parent)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "number"), [pytest.param(page.name, number, id=f"{page.name}-{number}") for page, number, _ in SNIPPETS]
)
def test_every_python_that_a_page_shows_runs_by_itself(name: str, number: int, printed: Printed) -> None:
    """A reader copies one block, not those before it."""
    printed(name, number)


@pytest.mark.slow
def test_the_python_of_the_readme_trains_a_net_that_knows_the_digits(printed: Printed) -> None:
    said = printed("README.md", 1)
    errors = dict(re.findall(r"'(\w+)': ([\d.e-]+)", said))
    assert float(errors["slow"]) < 0.1
    assert float(errors["fast"]) < 0.1


@pytest.mark.slow
def test_the_python_of_the_recurrent_page_learns_from_a_stream_what_is_positive(printed: Printed) -> None:
    said = printed("recurrent.md", 1)
    goodness = [float(value) for value in re.findall(r"tensor\((-?[\d.]+)\)", said)]
    assert goodness[0] > goodness[1]
    assert goodness[2] > goodness[3]


@pytest.mark.slow
def test_the_python_of_the_page_on_local_layers_makes_one(printed: Printed) -> None:
    assert printed("unsupervised.md", 1) == "(3, 32, 32) 3072 933156\n"


@pytest.mark.slow
def test_the_python_of_the_page_on_cifar_makes_a_net_with_fields(printed: Printed) -> None:
    assert printed("cifar.md", 1) == "torch.Size([2, 10])\n"
