"""What a user of the library meets first: its names, its examples, and that defaults stand in one place."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import twofold
from support.programs import run_program
from twofold import defaults
from twofold.learning import Rule

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

NAMES = """
GOODNESS METHODS NEGATIVES OBJECTIVES RECIPES SCHEDULES ACTIVATIONS
Backprop BlackBox Connectivity Convolution Dense FeedForward Fields Fixed Full
ForwardForwardClassifier ForwardForwardFeatures Goodness Instrument LabelFree LabelFreeRecipe LocallyConnected
CustomLayer Masked Objective
Recurrent RecurrentLayer Rule Substrate Tiled Trainer Activation Unsupervised
BackpropRecipe FeedForwardRecipe Recipe RecurrentRecipe UnsupervisedRecipe
Data Dataset Evaluation History Result Run
ArgumentError DataError DeviceError Diverged Interrupted Remark RunError SettingError TwofoldError
as_dataset draw evaluate export fit hard_wrong_labels load load_data random_wrong_labels read_data recipe_for serve
top_down train
"""

SUBPACKAGES = {"twofold", "twofold.data", "twofold.exporting", "twofold.instrument", "twofold.substrate"}
"""What docs and examples may import from."""
THE_LABORATORY = {"twofold_lab.energy"}
"""What the pages about experiments may import from besides."""


def test_these_names_are_the_public_face() -> None:
    assert sorted(twofold.__all__) == sorted(NAMES.split())
    assert all(hasattr(twofold, name) for name in twofold.__all__)


def test_the_version_is_that_of_the_distribution() -> None:
    assert twofold.__version__ == version("twofold")


def code_of(path: Path) -> str:
    """An example, or the Python that a page shows."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


@pytest.mark.parametrize("path", [*EXAMPLES, *PAGES], ids=lambda path: path.name)
def test_docs_and_examples_import_from_the_public_packages_alone(path: Path) -> None:
    """What a reader copies must not break when a module moves."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code_of(path))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            module = importlib.import_module(node.module)
            if node.module in SUBPACKAGES:
                public = {*module.__all__, *(name.rpartition(".")[2] for name in SUBPACKAGES)}
                assert {each.name for each in node.names} <= public
    assert {name for name in found if name.split(".")[0] == "twofold"} <= SUBPACKAGES | THE_LABORATORY


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    assert set(NAMES.split()) <= set(dir(twofold))
    assert not hasattr(twofold, "annotations_of")
    assert not hasattr(twofold, "import_module")


@pytest.mark.slow
def test_the_command_line_is_there_before_pytorch() -> None:
    """Else Ctrl-C in the seconds that its import takes would end in a traceback."""
    code = "import sys, twofold, twofold.cli; print(*({'torch', 'numpy', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_runs(path: Path, tmp_path: Path) -> None:
    ended = run_program(path, tmp_path, "2")
    assert ended.returncode == 0, ended.stderr
    assert "test" in ended.stdout


def test_the_algorithm_on_one_page_is_the_librarys() -> None:
    """The same layer, the same batches: weights and outputs agree to rounding, in float64."""
    page = runpy.run_path(str(ROOT / "examples" / "forward_forward.py"), run_name="a page")
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(0)
    ours = twofold.Dense(12, page["UNITS"], Rule(), generator)
    layer = page["Layer"](12, page["UNITS"])
    layer.weight = ours.weight.detach().clone()
    for number in range(5):
        batches = torch.randn(2, 20, 12, generator=generator)
        positive, negative = (page["normalize"](batch) for batch in batches)
        there = layer.learn(positive, negative, 0.1 / (number + 1))
        found = ours.learn(positive, negative, 0.1 / (number + 1))
        torch.testing.assert_close(there, (found.positive, found.negative))
    torch.testing.assert_close(layer.weight, ours.weight.detach())
    torch.testing.assert_close(layer.bias, ours.bias.detach())
    torch.testing.assert_close(layer.mean_activity, ours.mean_activity)


def test_the_page_puts_the_label_where_the_library_does() -> None:
    page = runpy.run_path(str(ROOT / "examples" / "forward_forward.py"), run_name="a page")
    images, labels = torch.rand(7, 64), torch.arange(7)
    net = twofold.FeedForward.dense((1, 8, 8), (5,), 10)
    one_hot = torch.nn.functional.one_hot(labels, 10).float()
    torch.testing.assert_close(page["with_label"](images, one_hot), net.with_label(images, labels).to_tensor())


def test_the_page_has_no_more_than_a_page() -> None:
    lines = (ROOT / "examples" / "forward_forward.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= 80
    imported = {line for line in lines if "twofold" in line and not line.startswith(("#", '"""', "Trains"))}
    assert imported == {"import twofold", '    digits = twofold.load_data("digits")'}


LIBRARY = ("learning.py", "layers", "nets", "training")
STATED = {value for name, value in vars(defaults).items() if name.isupper() and isinstance(value, float)}


def default_numbers(tree: ast.AST) -> list[float]:
    """Numbers that stand as the default of an argument or of a field."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            found += [*node.args.defaults, *(each for each in node.args.kw_defaults if each)]
        elif isinstance(node, ast.ClassDef):
            found += [each.value for each in node.body if isinstance(each, ast.AnnAssign) and each.value]
    return [each.value for each in found if isinstance(each, ast.Constant) and isinstance(each.value, float)]


def test_no_default_of_a_hyper_parameter_stands_anywhere_but_in_one_place() -> None:
    """Zero and one are no choices: they switch a thing off, or weigh nothing."""
    house = Path(twofold.__file__).parent
    files = [
        path for name in LIBRARY for path in ([house / name] if name.endswith(".py") else (house / name).rglob("*.py"))
    ]
    found = {value for path in files for value in default_numbers(ast.parse(path.read_text(encoding="utf-8")))}
    assert not found - {0.0, 1.0}
    assert default_numbers(ast.parse("def rule(decay: float = 0.002): pass")) == [0.002]
    assert defaults.DECAY in STATED
