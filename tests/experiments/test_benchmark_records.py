"""Benchmarks through the command line: what a record promises, and what is refused in one line.

Oracle: the documented contract. No test depends on how fast the machine is.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from support.command_line import answer
from twofold import load_data
from twofold.files import read_signed
from twofold_lab.benchmarks import (
    Workbench,
    benchmarks,
    depth,
    epoch,
    gpu,
    inference,
    memory,
    one_step,
    roofline,
    substrate,
    wire,
)
from twofold_lab.benchmarks import time_to_error as tte
from twofold_lab.benchmarks.gpu import Gpu
from twofold_lab.benchmarks.one_step import Case

CPU = torch.device("cpu")
BENCH = Workbench(CPU, "fp32")


# Records through the command line ------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_sizes() -> Iterator[None]:
    """Every benchmark at a size of seconds."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("recurrent_deep", "twin"):
            recipe = replace(getattr(depth.recipes, name), data="digits", widths=(12, 12), epochs=1)
            monkeypatch.setattr(depth.recipes, name, recipe)
        for module, changes in (
            (
                epoch,
                {"SLICE": 100, "ROUNDS": 2, "SWEEP": ({"widths": (8, 8), "batch": 50}, {"widths": (8,), "batch": 20})},
            ),
            (roofline, {"SQUARES": {"cpu": (16, 32)}, "BATCHES": 2, "ROUNDS": 1}),
            (inference, {"IMAGES": 60, "ROUNDS": 2, "ALONE": 2}),
            (
                tte,
                {
                    "RECIPE": "digits",
                    "SCHEDULES": {each: tte.Schedule({"epochs": 2}, {"epochs": 2}) for each in (60.0, 0.01)},
                },
            ),
            (gpu, {"ROUNDS": 2}),
            (wire, {"ROUNDS": 2, "STEPS": 1}),
            (substrate, {"NETS": {"dense": ("digits", {"widths": (20, 20)})}, "BATCHES": 2, "ROUNDS": 2}),
            (memory, {"CONTENDERS": {name: memory.CONTENDERS[name] for name in ("ff", "twin")}}),
        ):
            for name, value in changes.items():
                monkeypatch.setattr(module, name, value)
        monkeypatch.setattr(
            memory.Memory,
            "in_a_process",
            lambda self, place, name, depth: one_step.measure(Case(name, depth, 8, 8, "cpu", "fp32")),
        )
        yield


@pytest.fixture
def small() -> Iterator[None]:
    with small_sizes():
        yield


PROMISED = {
    "epoch": (
        ["--recipe", "digits", "--epochs", "1"],
        {"ff_over_bp", "ff_over_bp_first", "ff_over_bp_every_case", "sweep"},
    ),
    "roofline": (
        ["--recipe", "digits"],
        {"roofline_fraction", "twin_roofline_fraction", "best", "products", "ff", "twin"},
    ),
    "wire": (["--width", "20", "--batch", "8"], {"ratio", "step"}),
    "memory": (["--width", "8", "--depths", "1", "2", "--batch", "8"], {"activation_growth", "twin_activation_growth"}),
    "time-to-error": (["--targets", "60", "0.01", "--seeds", "1"], {"ff_over_bp", "targets"}),
    "substrate": (["--substrate", "reram"], {"analog_over_ideal", "nets"}),
    "inference": (["--recipe", "digits"], {"slow_over_fast", "shortlist_over_fast", "images_per_second", "latency_ms"}),
    "sampling": (
        ["--recipe", "digits", "--epochs", "1", "--images", "60", "--held-out", "30", "--seeds", "1"],
        {"trainings", "tested", "dataset"},
    ),
    "depth": (["--depths", "2"], {"nets", "tested", "dataset"}),
}
"""Arguments and figures of each benchmark."""
PICTURES = set(PROMISED) - {"sampling", "depth"}
"""Benchmarks with a picture."""


Measured = Callable[[str], tuple[Path, list[str]]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Runs a benchmark on the command line, once for all tests; returns its folder and what it printed."""

    @cache
    def run(name: str) -> tuple[Path, list[str]]:
        place = tmp_path_factory.mktemp(name)
        folder = place / "bench"
        options = ["--device", "cpu", "--precision", "fp32", "--folder", str(folder), "--json"]
        with small_sizes(), contextlib.chdir(place):
            code, out, err = answer(["bench", name, *PROMISED[name][0], *options])
        assert code == 0, err
        return folder, out

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", PROMISED)
def test_a_benchmark_ends_with_its_record_and_keeps_it_with_a_picture(name: str, measured: Measured) -> None:
    """Otherwise a figure in a table could not be traced to a machine, code, data and settings."""
    folder, out = measured(name)
    record = json.loads(out[-1])
    always = {"benchmark", "settings", "device", "precision", "environment", "date", "data", "origin"}
    assert PROMISED[name][1] | always <= record.keys()
    kept, intact = read_signed(folder / f"{name}.json")
    assert intact
    assert record.items() <= kept.items()
    assert {"commit", "torch", "processor", "threads"} <= record["environment"].keys()
    assert (record["benchmark"], record["device"], record["precision"]) == (name, "cpu", "fp32")
    files = {f"{name}.json"} | ({f"{name}.png"} if name in PICTURES else set())
    assert {path.name for path in folder.iterdir()} == files
    if name in PICTURES:
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.size[0] > 600
    assert out[0].startswith(f"{name}: ")
    assert "fp32 on cpu" in out[0]


@pytest.mark.slow
def test_the_fractions_and_ratios_of_a_record_follow_from_its_figures(measured: Measured) -> None:
    def record(name: str) -> Any:
        return json.loads(measured(name)[1][-1])

    found = record("roofline")
    assert found["best"] == max(rate["median"] for rate in found["products"].values())
    gflops = found["ff"]["gflop"] / found["ff"]["seconds"]["median"]
    assert found["roofline_fraction"] == pytest.approx(gflops / found["best"])  # in one round, as here
    found = record("inference")
    seconds = {name: each["median"] for name, each in found["seconds"].items()}
    assert found["slow_over_fast"] == seconds["slow"] / seconds["fast"]
    assert found["shortlist_over_fast"] == seconds["shortlist"] / seconds["fast"]
    found = record("memory")
    assert found["activation_growth"] == found["bytes"]["ff"][1] / found["bytes"]["ff"][0]
    found = record("time-to-error")
    assert found["targets"]["60.0"]["ratio"] > 0
    assert found["targets"]["0.01"]["ratio"] is None
    assert found["ff_over_bp"] is None  # one target was missed


@pytest.mark.slow
def test_a_record_names_its_data_and_the_code_of_its_nets_and_of_all_that_was_tested(measured: Measured) -> None:
    """Otherwise a change of the data or of a learning method would leave the record current."""
    data = load_data("digits")
    for name, held_out, methods in (
        ("sampling", 30, {"feedforward"}),
        ("depth", len(data.test_labels), {"recurrent", "backprop"}),
        ("epoch", None, {"feedforward", "backprop"}),
        ("inference", None, {"feedforward", "backprop"}),
    ):
        record = json.loads(measured(name)[1][-1])
        assert record["data"] == ({} if name == "inference" else {"digits": data.fingerprint})
        assert {f"twofold.methods.{method}" for method in methods} <= record["origin"]["code"].keys()
        if held_out:
            assert [count for _, count in record["tested"]] == [held_out]


@pytest.mark.usefixtures("small")
def test_a_target_that_was_missed_is_a_dash_in_the_table() -> None:
    found = tte.TimeToError((0.01,), seeds=1).measure(BENCH)
    environment = {"processor": "any", "threads": 1}
    said = tte.TimeToError.table({**found, "precision": "fp32", "device": "cpu", "environment": environment})
    ff, twin = said.splitlines()[-2:]
    assert ff.split()[:3] == ["0.01", "%", "FF"]
    assert ff.endswith("-")
    assert twin.split()[2] == "twin"


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_what_runs_on_a_gpu_gives_a_whole_record(tmp_path: Path) -> None:
    """Run on the CPU, since most machines that test this have no GPU."""
    found = Gpu(epochs=1).on_device(BENCH, ["digits"])
    environment = {"processor": "any", "threads": 1}
    record = {**found, "precision": "fp32", "device": "cpu", "environment": environment}
    assert json.loads(json.dumps(record)) == record
    assert found["whole"]["seconds"] > 0
    assert {"slow", "fast"} <= found["whole"]["test_error"].keys()
    assert "digits (3 x 500)" in Gpu.table(record)
    assert Gpu.draw(record, tmp_path / "gpu.png").exists()


# Mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "needs the name of a benchmark"),
        (["epok"], "unknown benchmark 'epok': did you mean 'epoch'?"),
        (["epoch", "--recipe", "mnits"], "unknown recipe 'mnits': did you mean 'mnist'?"),
        (["epoch", "--recipe", "mnist-twin"], "which has no twin to compare with: choose a Forward-Forward recipe"),
        (["epoch", "--epochs", "-1"], "--epochs is -1, expected 1 to"),
        (["epoch", "--epochs", "1000"], "--epochs is 1000, expected 1 to"),
        (["epoch", "--epcohs", "1"], "did you mean '--epochs'?"),
        (["roofline", "--recipe", "digits-twin"], "which has no twin to compare with: choose a Forward-Forward recipe"),
        (["memory", "--width", "-5"], "--width is -5, expected at least 1"),
        (["memory", "--depths", "0", "4"], "--depths is 0 4, expected at least two"),
        (["memory", "--depths", "4"], "--depths is 4, expected at least two"),
        (["memory", "--batch", "1"], "--batch is 1, expected at least 8"),
        (["time-to-error", "--seeds", "-1"], "--seeds is -1, expected at least 1"),
        (["time-to-error", "--targets", "1.75"], "--targets is 1.75, which has no schedule: choose among"),
        (["substrate", "--substrate", "reran"], "unknown substrate 'reran': did you mean 'reram'?"),
        (["gpu", "--epochs", "0"], "--epochs is 0, expected at least 1"),
        (["sampling", "--seeds", "0"], "--seeds is 0, expected at least 1"),
        (["sampling", "--recipe", "digits", "--held-out", "2000"], "cannot hold out 2000"),
        (["depth", "--depths", "0", "4"], "--depths is 0 4, expected at least 1"),
        (["gpu", "--device", "cpu"], "needs a CUDA device"),
        (["inference", "--device", "gpu"], "--device"),
        (["inference", "--recipe", "mnist-hybrid"], "whose net has only: fast; choose one with a slow test"),
    ],
)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(words: list[str], told: str, tmp_path: Path) -> None:
    folder = ["--folder", str(tmp_path / "bench")] if words else []
    code, _, err = answer(["bench", *words, *folder])
    assert code == 1
    assert len(err) == 1
    assert told in err[0]
    assert not list(tmp_path.iterdir())


def test_weights_that_do_not_fit_are_refused_with_what_is_needed_and_what_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the machine would swap for an hour, or end other work."""
    monkeypatch.setattr(memory.machine, "free_memory", lambda device: 1_500_000_000)
    monkeypatch.setattr(memory.Memory, "in_a_process", lambda *_: pytest.fail("it began"))
    code, _, err = answer(["bench", "memory", "--width", "10000", "--depths", "2", "4", "--precision", "fp32"])
    assert code == 1
    weights = 784 * 10_000 + 3 * 10_000**2 + 10_000 * 10
    needed = (12 * weights + 4 * 1000 * 4 * 10_000) / 1e9  # weight, smoothed gradient, gradient; activities
    assert len(err) == 1
    assert f"needs about {needed:.1f} GB of memory, but only 1.5 GB are free" in err[0]


def test_a_process_that_fails_is_told_with_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\n  somewhere\nMemoryError: no more\n")
    monkeypatch.setattr(memory.subprocess, "run", lambda *_, **__: failed)
    code, _, err = answer(["bench", "memory", "--width", "8", "--depths", "2", "4"])
    assert code == 1
    assert err == ["twofold: error: the step of FF with 2 layers failed: MemoryError: no more"]


@pytest.mark.parametrize("name", benchmarks())
def test_every_benchmark_has_a_help_with_its_options(name: str) -> None:
    code, out, _ = answer(["bench", name, "--help"])
    assert code == 0
    for option in ("--folder", "--precision", "--json"):
        assert any(option in line for line in out)


def test_the_help_of_the_command_lists_every_benchmark() -> None:
    code, out, _ = answer(["bench", "--help"])
    assert code == 0
    assert all(f"  {name} " in "\n".join(out) for name in benchmarks())
