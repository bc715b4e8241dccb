"""The model card: what it says is in the run, and the hub understands it.

Oracles: PyYAML and huggingface_hub, which read it; the result of the run; Python, which runs what it shows.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import twofold
from support.command_line import answer
from support.helpers import refusal
from support.runs import train
from twofold.data import Dataset
from twofold.data.preparation import Preparation
from twofold.errors import SettingError
from twofold.exporting.card import card
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.training import runs
from twofold.training.runs import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, recipe: FeedForwardRecipe, tiny: Dataset) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(recipe, folder, tiny, name="tiny")
    return runs.load(folder, "cpu")


def test_the_hub_understands_the_card_and_its_figures_are_those_of_the_run(trained: Run) -> None:
    found = ModelCard(card(trained, "apache-2.0")).data
    assert (found.license, found.library_name, found.pipeline_tag) == ("apache-2.0", "twofold", "image-classification")
    assert found.eval_results is not None
    figures = {each.metric_name: each.metric_value for each in found.eval_results}
    for test, error in trained.result.test_error.items():
        assert figures[f"accuracy, {test} test"] == pytest.approx(1 - error, abs=1e-6)
    assert {each.dataset_name for each in found.eval_results} == {"tiny"}


def test_the_card_says_what_was_trained_on_what_and_how_well_it_does(trained: Run) -> None:
    text = card(trained)
    rows = dict(re.findall(r"^\| ([\w ]+) \| ([^|]+?) \|", text, re.MULTILINE))
    for test, error in trained.result.test_error.items():
        assert rows[test] == f"{100 * error:.2f} %"
    for name, value in trained.recipe.fields().items():
        assert rows[name] == (" ".join(map(str, value)) if isinstance(value, list) else str(value))
    for fact in (trained.result.fingerprint, "`0`, `1`, `2`, `3`", "(batch, 1, 5, 5)", "not verified"):
        assert fact in text
    assert 'license: "unknown"' in text
    assert str(trained.folder.parent) not in text


def test_the_python_of_the_card_runs(
    trained: Run, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    twofold.export(trained, tmp_path / "model.safetensors")
    (code,) = re.findall(r"```python\n(.*?)```", card(trained), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) == 3
    exec(code, {"images": tiny.test_images})


def test_names_of_all_kinds_do_no_harm_to_the_card(trained: Run) -> None:
    names = ("`code`", "a\nb", "---", "| cell |")
    table = Preparation("table", (1, 1, 2), names, ("x: y", "#"), (0.0, 0.0), (1.0, 1.0))
    odd = replace(trained, preparation=table, result=replace(trained.result, recipe="a: [b", dataset="c\nd: e"))
    found = ModelCard(card(odd)).data
    assert found.pipeline_tag == "tabular-classification"
    assert found.model_name == "a: [b"
    assert "`'code'`, `a b`, `---`, `| cell |`" in card(odd)


ODD = [
    "a | b",
    "# a\n\n## b",
    "*a* **b** ~~c~~",
    "[a](http://b.c)",
    "<img src=x>",
    "a `b` ``` c",
    "back\\slash | b",
    "![a](b)",
]


@pytest.mark.parametrize("odd", ODD)
def test_words_of_all_kinds_in_a_result_stay_words(odd: str, trained: Run) -> None:
    """Oracle: without escaped characters there is as much Markdown as in a card of plain words."""

    def made_of(word: str) -> list[list[int]]:
        result = replace(
            trained.result,
            **{"recipe": word, "dataset": word, "method": word, "device": word, "precision": word, "fingerprint": word},
            settings={**trained.result.settings, word: word, "objective": [word]},
            started_from={"run": word.replace("/", ""), "weights": word},
            environment={"twofold": word, "torch": word},
        )
        text = card(replace(trained, result=result)).partition("\n---\n")[2]
        bare = re.sub(r"`[^`\n]+`", "code", re.sub(r"\\[^\w\s]", "", text))
        return [[line.count(each) for each in "|#*[<`!~"] for line in bare.splitlines()]

    assert made_of(odd) == made_of("plain")


def test_what_has_no_labels_gets_no_task_of_the_hub(trained: Run) -> None:
    found = ModelCard(card(replace(trained, preparation=None))).data
    assert found.pipeline_tag is None
    assert found.eval_results is not None
    assert {each.task_type for each in found.eval_results} == {"other"}


def test_cases_that_were_held_out_are_not_called_a_test(
    twin_recipe: BackpropRecipe, tiny: Dataset, tmp_path: Path
) -> None:
    train(replace(twin_recipe, validation=10), tmp_path / "run", tiny)
    assert answer(["export", str(tmp_path / "run"), "--to", "card"])[0] == 0
    text = (tmp_path / "run" / "README.md").read_text()
    assert "Errors on the validation set" in text
    assert "the test set was not used" in text


@pytest.mark.parametrize("license", ["Apache 2.0", "", "mit\nx: y"])
def test_a_licence_that_the_hub_would_not_know_is_refused(license: str, trained: Run) -> None:
    assert "expected a hub identifier" in refusal(lambda: card(trained, license), SettingError)
