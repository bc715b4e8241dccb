"""What a result says about the code and the machine that made it, and what of it can change the bits of a training.

Oracles: repositories made with git; each condition, changed.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from twofold import machine
from twofold.machine import description

CPU = torch.device("cpu")

# What is said about the code -----------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *who, "-C", str(folder), *words], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that a repository around it has committed."""
    package = tmp_path / "home" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("A = 1\n")
    git(tmp_path / "home", "init")
    git(tmp_path / "home", "add", "-A")
    git(tmp_path / "home", "commit", "-m", "a")
    monkeypatch.setattr(description, "PACKAGE", package)
    return package


def test_the_commit_is_that_of_the_checkout_and_says_whether_the_code_was_changed(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "--short", "HEAD")
    assert description._commit() == commit
    (checkout.parent / "notes.txt").write_text("not code")
    assert description._commit() == commit
    (checkout / "new.py").write_text("B = 1\n")
    assert description._commit() == f"{commit}+"
    (checkout / "new.py").unlink()
    (checkout / "__init__.py").write_text("A = 2\n")
    assert description._commit() == f"{commit}+"


def test_a_repository_around_an_installed_package_is_not_its_own(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a result would name a commit of somebody's homework as the code that made it."""
    installed = checkout.parent / ".venv" / "twofold"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("A = 1\n")
    monkeypatch.setattr(description, "PACKAGE", installed)
    known = machine.describe(CPU)
    assert known["commit"] is None
    assert "commit" not in known["arithmetic"]
    assert known["twofold"]
    assert len(known["arithmetic"]["source"]) == 12


def test_a_repository_that_the_environment_speaks_of_is_not_its_own(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git sets these where it runs hooks."""
    own = description._commit()
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init")
    (other / "b").write_text("b")
    git(other, "add", "-A")
    git(other, "commit", "-m", "other")
    for name, value in {"GIT_DIR": other / ".git", "GIT_WORK_TREE": other, "GIT_INDEX_FILE": other / "x"}.items():
        monkeypatch.setenv(name, str(value))
    assert description._commit() == own


@pytest.mark.parametrize("what", ["exec sleep 60", "echo 'fatal: detected dubious ownership' >&2; exit 128", "no git"])
def test_a_git_that_does_not_answer_leaves_the_commit_unknown(
    checkout: Path, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin = tmp_path / "bin"
    bin.mkdir()
    if what != "no git":
        (bin / "git").write_text(f"#!/bin/sh\nPATH={os.environ['PATH']}\n{what}\n")
        (bin / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(bin))
    monkeypatch.setattr(description, "GIT_TIMEOUT", 0.1)
    assert description._commit() is None


# What can change the bits --------------------------------------------------------------------------------------------


@contextmanager
def switched(place: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute, which may be a switch of torch, has another value."""
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


@contextmanager
def called(function: Callable[[Any], object], value: Any, before: Any) -> Iterator[None]:
    """Something has been set, by a function that can set it back."""
    function(value)
    try:
        yield
    finally:
        function(before)


backends = torch.backends
AVX512_BF16, AMX = torch.cpu._is_avx512_bf16_supported(), torch.cpu._is_amx_tile_supported()


def matmul_precision(value: str) -> None:
    before = backends.mkldnn.matmul.fp32_precision  # which the next line sets too
    torch.set_float32_matmul_precision(value)
    backends.mkldnn.matmul.fp32_precision = before


CHANGES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "twofold": lambda: switched(description, "version", lambda _: "9.9"),
    "commit": lambda: switched(description, "_commit", lambda: "1234567"),
    "torch": lambda: switched(torch, "__version__", "9.9"),
    "python": lambda: switched(platform, "python_version_tuple", lambda: ("4", "0", "1")),
    "libc": lambda: switched(platform, "libc_ver", lambda: ("musl", "1.2")),
    "processor": lambda: switched(description, "_cpu", lambda: "abacus"),
    "instructions": lambda: switched(backends.cpu, "get_cpu_capability", lambda: "NEON"),
    "avx512_bf16": lambda: switched(torch.cpu, "_is_avx512_bf16_supported", lambda: not AVX512_BF16),
    "amx": lambda: switched(torch.cpu, "_is_amx_tile_supported", lambda: not AMX),
    "threads": lambda: called(torch.set_num_threads, 2, 1),
    "default type": lambda: called(torch.set_default_dtype, torch.float64, torch.float32),
    "float32 matmul precision": lambda: called(matmul_precision, "high", "highest"),
    "deterministic algorithms": lambda: switched(torch, "are_deterministic_algorithms_enabled", lambda: True),
    "flush denormal": lambda: called(torch.set_flush_denormal, True, False),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "mkldnn": lambda: switched(backends.mkldnn, "enabled", False),
    "mkldnn deterministic": lambda: switched(backends.mkldnn, "deterministic", True),
    "precision of fp32 products": lambda: switched(backends, "fp32_precision", "ieee"),
    "precision of fp32 products in mkldnn": lambda: switched(backends.mkldnn.matmul, "fp32_precision", "bf16"),
    "precision of fp32 convolutions in mkldnn": lambda: switched(backends.mkldnn.conv, "fp32_precision", "bf16"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_can_change_the_bits_of_a_training_is_said_when_it_has_changed(name: str) -> None:
    before = machine.describe(CPU)
    with CHANGES[name]():
        now = machine.describe(CPU)
    assert before["arithmetic"].get(name) != now["arithmetic"][name]
    assert json.loads(json.dumps(now)) == now
    if name != "commit" or "commit" in before["arithmetic"]:
        assert f"{name} {before['arithmetic'][name]}, now {now['arithmetic'][name]}" in machine.differences(before, now)
    assert machine.differences(before, machine.describe(CPU)) == []


def test_every_entry_has_a_change_here() -> None:
    assert set(machine.arithmetic(CPU)) - set(description.VARIABLES) <= set(CHANGES) | {"source"}


@pytest.mark.parametrize("name", description.VARIABLES)
def test_a_variable_that_steers_arithmetic_is_said_when_it_is_set_or_not_set_any_more(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    before = {"arithmetic": machine.arithmetic(CPU)}
    monkeypatch.setenv(name, "x")
    now = {"arithmetic": machine.arithmetic(CPU)}
    assert machine.differences(before, now) == [f"{name} not set, now x"]
    assert machine.differences(now, before) == [f"{name} x, now not set"]


def test_changed_code_is_said_where_no_commit_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two states of a checkout that was changed have the same commit, with a +."""
    monkeypatch.setattr(description, "PACKAGE", tmp_path)
    found = []
    for number in range(2):
        (tmp_path / "a.py").write_text(f"A = {number}\n")
        found.append(machine.describe(CPU))
    assert [said.split()[0] for said in machine.differences(*found)] == ["source"]


def test_of_a_gpu_all_that_is_known_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a large one")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(backends.cudnn, "version", lambda: 90100)
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    known = machine.describe(torch.device("cuda"))
    said = known["arithmetic"]
    assert known["processor"] == said["gpu"] == "a large one"
    assert (said["compute capability"], said["cudnn"], said["cuda"]) == ("9.0", 90100, "12.6")
    for name, place in description.CUDA_SWITCHES.items():
        *path, last = place.split(".")
        holder = functools.reduce(getattr, path, torch)
        other = {bool: lambda now: not now, str: lambda now: "ieee"}[type(said[name])](said[name])
        with switched(holder, last, other):
            assert machine.arithmetic(torch.device("cuda"))[name] == other
    assert "gpu" not in machine.arithmetic(CPU)


def test_what_a_version_of_torch_refuses_to_say_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch refuses where an older and a newer way of setting the same thing were mixed."""

    def refuse() -> None:
        raise RuntimeError("mixed")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", refuse)
    assert "float32 matmul precision" not in machine.arithmetic(CPU)


@pytest.mark.parametrize("older", [{}, {"arithmetic": "?"}])
def test_a_description_of_an_older_version_is_compared_by_what_it_has(older: dict[str, Any]) -> None:
    now = machine.describe(CPU)
    assert machine.differences({"torch": "2.6", "python": "3.11.2", "commit": None, "cores": 64, **older}, now) == [
        f"torch 2.6, now {torch.__version__}"
    ]
