"""The documents: what they tell a reader to type works.

Oracle: the documented contract.
"""

from __future__ import annotations

import re
import subprocess
import sys
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


def run_the_python_of(page: Path) -> str:
    """What the one Python example of a page prints."""
    code = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code) == 1
    done = subprocess.run([sys.executable, "-c", code[0]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_python_of_the_readme_trains_a_net_that_knows_the_digits() -> None:
    said = run_the_python_of(ROOT / "README.md")
    errors = dict(re.findall(r"'(\w+)': ([\d.e-]+)", said))
    assert float(errors["slow"]) < 0.1
    assert float(errors["fast"]) < 0.1


@pytest.mark.slow
def test_the_python_of_the_recurrent_page_learns_from_a_stream_what_is_positive() -> None:
    said = run_the_python_of(ROOT / "docs" / "recurrent.md")
    goodness = [float(value) for value in re.findall(r"tensor\((-?[\d.]+)\)", said)]
    assert goodness[0] > goodness[1]
    assert goodness[2] > goodness[3]


@pytest.mark.slow
def test_the_python_of_the_page_on_local_layers_makes_one() -> None:
    assert run_the_python_of(ROOT / "docs" / "unsupervised.md") == "(3, 32, 32) 3072 933156\n"


@pytest.mark.slow
def test_the_python_of_the_page_on_cifar_makes_a_net_with_fields() -> None:
    assert run_the_python_of(ROOT / "docs" / "cifar.md") == "torch.Size([2, 10])\n"
