"""Tuning: which settings are tried and chosen, and that a study that is stopped at any moment ends as one that was not.

Oracles: the rule as documented, worked out by hand; counts of a grid; studies that nothing has stopped.
"""

from __future__ import annotations

import errno
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.data_files import FAKE, IDX_FILES, idx_bytes, write
from support.helpers import refusal
from twofold.errors import Interrupted, RunError, SettingError
from twofold.files import read_signed
from twofold.methods import FeedForwardRecipe, Recipe
from twofold.recipes import RECIPES, SPACES, space_of
from twofold.tuning import record as records
from twofold.tuning import tune as tuning
from twofold.tuning import workers
from twofold.tuning.choice import Tried, binomial_error, choose, close, edges
from twofold.tuning.plan import held_out, points, sides
from twofold.tuning.workers import Outcome, Place, Trial


def tried(*errors: float | None, seeds: tuple[int, ...] = ()) -> list[Tried]:
    """Trials of the settings a = 0, 1, ... in turn; those with a seed repeat what stands in front of them."""
    found: list[Tried] = []
    for number, error in enumerate(errors):
        facts = {"errors": {"slow": error}, "seconds": 1.0} if error is not None else {"diverged": "why"}
        found.append(Tried(number, {"a": number}, 0, error, facts))
    return found


def again(number: int, a: int, seed: int, error: float | None) -> Tried:
    return Tried(number, {"a": a}, seed, error, {"errors": {"slow": error}})


# ---- which settings are tried ------------------------------------------------------------------------------------


def test_the_recipe_as_it_stands_is_tried_first_and_each_point_once() -> None:
    values = {"rate": (0.1, 0.2), "epochs": (1, 2, 3)}
    found = list(points({"rate": 0.5, "epochs": 2}, values))
    assert found[0] == {"rate": 0.5, "epochs": 2}
    grid = {(rate, epochs) for rate in values["rate"] for epochs in values["epochs"]}
    assert Counter((each["rate"], each["epochs"]) for each in found[1:]) == Counter(grid)


def test_sixteen_points_have_all_values_of_each_field_equally_often() -> None:
    values: dict[str, tuple[Any, ...]] = {"a": (1, 2, 3, 4), "b": (1, 2, 3, 4), "c": (1, 2)}
    found = list(points({"a": 0, "b": 0, "c": 0}, values))[1:17]
    for field, each in values.items():
        assert set(Counter(one[field] for one in found).values()) == {16 // len(each)}


def test_what_is_stated_is_the_same_in_all_trials_of_both_sides() -> None:
    recipe = replace(RECIPES["digits"], epochs=3, widths=(20,))
    ours, twin = sides("digits", recipe, frozenset({"epochs", "widths"}), True, 1438, 4)
    for side in (ours, twin):
        assert "epochs" not in side.values
        for settings in side.plan:
            trial = side.with_settings(settings, 5)
            assert (trial.epochs, trial.widths, trial.seed, trial.validation) == (3, (20,), 5, 287)


def test_the_last_fifth_is_held_out_at_most_ten_thousand_or_what_is_stated() -> None:
    recipe = RECIPES["mnist"]
    assert [held_out(recipe, cases) for cases in (60_000, 50_000, 1438, 3)] == [10_000, 10_000, 287, 1]
    assert held_out(replace(recipe, validation=7), 60_000) == 7


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_and_twin_has_a_search_space_whose_points_are_recipes(name: str) -> None:
    (side,) = sides(name, RECIPES[name], frozenset(), False, 60_000, 12)
    for field, values in side.values.items():
        assert len(values) > 1
        assert list(values) == sorted(values)
        assert all(type(each) is type(getattr(side.recipe, field)) for each in values)
    for settings in side.plan:
        assert isinstance(side.with_settings(settings, 0), Recipe)


def test_ours_and_the_twin_are_tuned_in_the_same_shared_fields() -> None:
    for name, space in SPACES.items():
        assert space.twin.keys() <= {*space.forward_forward}
        assert space_of(name).keys() >= space_of(f"{name}-twin").keys()


# ---- which are chosen --------------------------------------------------------------------------------------------


def test_settings_within_the_binomial_error_of_the_least_are_close() -> None:
    assert binomial_error(0.02, 10_000) == pytest.approx(0.0014)
    assert close(tried(0.0213, 0.02, None, 0.0215, 0.0214), 10_000) == [{"a": 0}, {"a": 1}, {"a": 4}]


def test_no_case_wrong_counts_as_one() -> None:
    assert close(tried(0.0, 0.01, 0.02), 100) == [{"a": 0}, {"a": 1}]


def test_the_least_mean_of_three_seeds_is_chosen_of_those_that_are_close() -> None:
    first = tried(0.020, 0.021, 0.03)
    more = [again(3, 0, 1, 0.024), again(4, 0, 2, 0.024), again(5, 1, 1, 0.020), again(6, 1, 2, 0.021)]
    assert [each.number for each in choose("x", first, first + more, 10_000)] == [1, 5, 6]


def test_settings_that_diverge_with_another_seed_are_not_chosen() -> None:
    first = tried(0.020, 0.021)
    more = [again(2, 0, 1, 0.01), again(3, 0, 2, None), again(4, 1, 1, 0.03), again(5, 1, 2, 0.03)]
    assert choose("x", first, first + more, 10_000)[0].settings == {"a": 1}
    for nothing in (tried(None, None), [*tried(0.02)]):
        seeds = [] if nothing[0].error is None else [*nothing, again(2, 0, 1, None)]
        assert "diverged with at least one seed" in refusal(
            lambda n=nothing, s=seeds: choose("x", n, s, 100), SettingError
        )


def test_a_choice_at_the_edge_of_what_was_tried_is_named() -> None:
    found = [Tried(0, {"rate": rate, "decay": decay, "way": "b"}, 0, 0.1) for rate, decay in ((0.1, 0.0), (0.4, 0.2))]
    values = {"rate": (0.1, 0.4), "decay": (0.0, 0.2), "way": ("a", "b")}
    assert edges({"rate": 0.1, "decay": 0.0, "way": "b"}, found, values) == {"rate": "lowest"}
    assert edges({"rate": 0.4, "decay": 0.1, "way": "b"}, found, values) == {"rate": "highest"}
    assert edges({"rate": 0.2, "decay": 0.2, "way": "b"}, found, values) == {"decay": "highest"}


# ---- a whole study, in this process ------------------------------------------------------------------------------


class Crash(Exception):
    """The power goes."""


class Here:
    """Takes the place of a worker: it answers at once, by a formula; and may crash before, within or after."""

    moments: Iterator[bool] = iter([])
    begun: int = 0

    def __init__(self, place: Place) -> None:
        self.place = place

    def begin(self, trial: Trial) -> None:
        self.moment()
        self.trial = trial

    def outcome(self) -> Outcome:
        self.moment()
        return self.of(self.trial)

    def of(self, trial: Trial) -> Outcome:
        Here.begun += 1
        recipe: Any = trial.recipe
        if recipe.rate > 0.1:
            return Outcome(None, {"diverged": "the loss is not finite"})
        error = round(0.01 + abs(recipe.rate - 0.03) / 10 + recipe.decay + recipe.seed / 1000, 6)
        return Outcome(error, {"errors": {"slow": error}, "seconds": 1.0})

    def moment(self) -> None:
        if next(Here.moments, False):
            raise Crash

    def end(self) -> None:
        pass


class Trains(Here):
    """A worker that trains, in this process."""

    def of(self, trial: Trial) -> Outcome:
        found = workers._train(trial, workers.data.load(self.place.dataset, self.place.data_dir), self.place)
        assert isinstance(found, Outcome), found
        return found


def study(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Here] = Here,
    moments: Iterable[bool] = (),
    **options: Any,
) -> records.Record:
    """A study of the digits by workers of that kind, which crashes at some moments."""
    monkeypatch.setattr(Here, "moments", iter(moments))
    order = random.Random(str(folder))
    monkeypatch.setattr(tuning, "Worker", kind)
    monkeypatch.setattr(tuning, "ready", lambda busy: order.sample(busy, order.randint(1, len(busy))))
    return tuning.tune(
        "digits", folder=folder, device="cpu", precision="fp32", **{"trials": 6, "workers": 2, **options}
    )


def outcomes(record: records.Record) -> list[Any]:
    """What must be the same: all trials by number, with settings, seeds and errors, and the choice."""
    times = ("seconds",)
    return [
        [{key: value for key, value in each.items() if key not in times} for each in side["trials"]] + [side["chosen"]]
        for side in record["sides"]
    ]


def test_a_study_has_as_many_settings_of_the_twin_and_repeats_those_that_are_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = study(tmp_path / "study", monkeypatch)
    for side in record["sides"]:
        first = [each for each in side["trials"] if each["seed"] == 0]
        assert len(first) == len({str(each["settings"]) for each in first}) == 6
        least = min(each["error"] for each in first if each["error"] is not None)
        near = [each["settings"] for each in first if each["error"] and each["error"] <= least + (least / 287) ** 0.5]
        assert [each["settings"] for each in side["trials"][6:]] == [each for each in near for _ in range(2)]
        assert {each["seed"] for each in side["trials"][6:]} == {1, 2}
        assert side["chosen"]["seeds"] == [0, 1, 2]
        assert side["chosen"]["error"] == pytest.approx(least + 0.001)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_study_that_crashes_at_any_moments_ends_with_the_same_trials_under_the_same_numbers(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, chance = study(tmp_path / "whole", monkeypatch, workers=1), random.Random(seed)
    for _ in range(100):
        moments = [chance.random() < 0.2 for _ in range(20)]
        try:
            found = study(tmp_path / "crashed", monkeypatch, moments=moments, workers=chance.randint(1, 4))
            break
        except Crash:
            pass
    assert outcomes(found) == outcomes(wanted)


def test_a_complete_study_answers_without_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = study(tmp_path / "study", monkeypatch)
    monkeypatch.setattr(Here, "begun", 0)
    assert outcomes(study(tmp_path / "study", monkeypatch)) == outcomes(before)
    assert Here.begun == 0


def test_ctrl_c_says_what_is_saved_and_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Here):
        def outcome(self) -> Outcome:
            if Here.begun == 3:
                raise KeyboardInterrupt
            return super().outcome()

    monkeypatch.setattr(Here, "begun", 0)
    with pytest.raises(Interrupted, match=r"3 finished trials are saved in .*study.*: repeat the command to continue"):
        study(tmp_path / "study", monkeypatch, Stopped)


@pytest.mark.slow
@FAKE
@pytest.mark.filterwarnings("ignore::twofold.errors.Remark")
def test_the_test_images_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other test images and other labels of them: the same trials with the same errors."""
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (60, 28, 28), dtype=np.uint8), draw.integers(0, 10, 60, dtype=np.uint8)
    found = []
    for poison in range(2):
        spoiled = np.full_like(images, 255 * poison), np.full_like(labels, poison)
        content = (idx_bytes(each) for each in (images, labels, *spoiled))
        write(tmp_path / f"{poison}" / "mnist", dict(zip(IDX_FILES, content, strict=True)))
        recipe = RECIPES["digits"]
        assert isinstance(recipe, FeedForwardRecipe)
        small = replace(recipe, data="mnist", widths=(8,), epochs=2, batch=10)
        options: Any = {
            "recipe": small,
            "stated": frozenset({"epochs"}),
            "trials": 3,
            "data_dir": tmp_path / f"{poison}",
        }
        found.append(study(tmp_path / f"study{poison}", monkeypatch, Trains, **options))
    assert found[0]["fingerprint"] != found[1]["fingerprint"]
    assert outcomes(found[0]) == outcomes(found[1])
    assert not list(tmp_path.rglob("*.safetensors"))  # the weights are removed


# ---- mistakes ----------------------------------------------------------------------------------------------------


def test_a_folder_that_holds_another_study_or_something_else_is_one_line_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(tmp_path / "study", monkeypatch)
    for options, said in (
        ({"trials": 7}, "trials = 6, expected 7"),
        (
            {"stated": frozenset({"temperature"})},
            r"temperature of digits = \[12.5, 25.0, 50.0, 100.0\], expected None",
        ),
        ({"recipe": replace(RECIPES["digits"], seed=4)}, "seed of digits = 0, expected 4"),
    ):
        with pytest.raises(RunError, match=said):
            study(tmp_path / "study", monkeypatch, **options)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    assert "neither empty nor a study folder" in refusal(lambda: study(tmp_path / "thesis", monkeypatch))
    assert [each.name for each in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_two_cannot_tune_in_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Second(Here):
        def begin(self, trial: Trial) -> None:
            said.append(refusal(lambda: study(tmp_path / "study", monkeypatch)))
            raise Crash

    said: list[str] = []
    with pytest.raises(Crash):
        study(tmp_path / "study", monkeypatch, Second)
    assert said == [f"{tmp_path / 'study'} is in use by another study: wait until it ends, or choose another --study"]


def test_a_damaged_outcome_and_a_full_disk_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = study(tmp_path / "study", monkeypatch)
    path = tmp_path / "study" / "trials" / "digits-001" / "outcome.json"
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"seed": 0', b'"seed": 1'))
    said = refusal(lambda: study(tmp_path / "study", monkeypatch))
    assert said == f"{path} was edited after it was written: delete {path.parent} to repeat the trial"
    path.unlink()
    monkeypatch.setattr(Here, "begun", 0)
    assert outcomes(study(tmp_path / "study", monkeypatch)) == outcomes(before)
    assert Here.begun == 1

    replace_file = Path.replace

    def full(path: Path, target: Path) -> None:
        if target.name == "outcome.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace_file(path, target)

    monkeypatch.setattr(Path, "replace", full)
    said = refusal(lambda: study(tmp_path / "new", monkeypatch))
    assert "No space left on device); finished trials are kept: free some disk space" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trials": 0}, "--trials is 0"),
        ({"workers": 0}, "--workers is 0"),
        ({"trials": 5000}, "has only 256 combinations"),
        ({"stated": frozenset(space_of("digits"))}, "nothing to tune"),
    ],
)
def test_what_cannot_be_tuned_is_one_line(
    options: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said in refusal(lambda: study(tmp_path / "study", monkeypatch, **options), SettingError)
    assert not (tmp_path / "study").exists()


# ---- the record --------------------------------------------------------------------------------------------------


def test_the_command_of_a_choice_has_what_is_not_as_the_recipe_stands() -> None:
    recipe = replace(RECIPES["digits"], rate=0.04, widths=(5, 6), mirror=True, validation=9)
    assert records.command("digits", recipe) == "twofold train digits --widths 5 6 --rate 0.04 --mirror"
    assert records.command("digits", RECIPES["digits"]) == "twofold train digits"


@pytest.mark.slow
def test_a_record_is_signed_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = study(tmp_path / "study", monkeypatch)
    (tmp_path / "docs" / "pictures").mkdir(parents=True)
    path = records.write(found, tmp_path / "results", tmp_path / "docs")
    assert path == tmp_path / "results" / "tuning" / "digits.json"
    content, intact = read_signed(path)
    assert intact
    assert content == found
    assert (tmp_path / "docs" / "pictures" / "tuning-digits.png").stat().st_size > 10_000
