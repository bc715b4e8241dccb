"""Machines that lack something: a training ends on them as on any other, or says in one line what is missing.

Oracles: the documented contract; weights of a training on this machine, bitwise. What other systems refuse is refused
here by functions of the standard library that are replaced; no other system was there.
"""

from __future__ import annotations

import ast
import ctypes
import errno
import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import twofold
from support.command_line import SMALL, answer
from support.helpers import hashes, refusal
from support.runs import train
from twofold import checkpoint, files
from twofold.data import Dataset
from twofold.layers.dense import dense
from twofold.learning import Rule
from twofold.methods import FeedForwardRecipe
from twofold.plots import canvas
from twofold.training import offload

SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(Path(twofold.__file__).parent.rglob("*.py"))}


@pytest.fixture
def short(recipe: FeedForwardRecipe) -> FeedForwardRecipe:
    return replace(recipe, epochs=1)


WRITERS: dict[str, Callable[[Path], object]] = {
    "bytes": lambda path: files.write_bytes(path, b"a"),
    "json": lambda path: files.write_json(path, {"a": 1}),
    "signed": lambda path: files.write_signed(path, {"a": 1}),
    "tensors": lambda path: checkpoint.write(path, {"a": torch.ones(2)}, {}),
    "picture": lambda path: canvas.write(canvas.subplots(1, 1, 1.0, 1.0)[0], path),
}
"""All that writes a file that stays."""

# Windows -------------------------------------------------------------------------------------------------------------


def flush_as_windows_does(handle: int) -> None:
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


@pytest.mark.parametrize("writer", WRITERS)
def test_only_what_is_open_for_writing_is_flushed(writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to flush what is open for reading: not one file could be written there."""
    monkeypatch.setattr(os, "fsync", flush_as_windows_does)
    WRITERS[writer](tmp_path / "file")
    assert (tmp_path / "file").stat().st_size
    with (tmp_path / "file").open("rb") as read_only, pytest.raises(OSError, match="Bad file descriptor"):
        os.fsync(read_only.fileno())  # the replacement does refuse


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_another_program_has_open_is_told_in_one_line_and_kept(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows lets nobody rename over it."""

    def refuse(*paths: object) -> None:
        raise PermissionError(errno.EACCES, "Access is denied")

    (tmp_path / "file").write_bytes(b"before")
    before = hashes(tmp_path)
    for name in ("replace", "rename"):
        monkeypatch.setattr(os, name, refuse)
        monkeypatch.setattr(Path, name, refuse)
    assert "Access is denied; any older file is kept" in refusal(lambda: WRITERS[writer](tmp_path / "file"))
    assert hashes(tmp_path) == before


LACKING = {
    os: ("posix_fallocate", "posix_fadvise", "sched_getaffinity", "fork", "getuid", "fchmod"),
    signal: ("SIGHUP", "SIGXFSZ", "SIGALRM", "SIGUSR1"),
}


@pytest.fixture
def not_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only POSIX has is not there."""
    for module, names in LACKING.items():
        for name in names:
            monkeypatch.delattr(module, name, raising=False)
    monkeypatch.setattr(offload, "ADVICE", False)


@pytest.mark.parametrize("at_rest", [False, True])
def test_a_training_needs_nothing_that_only_posix_has(
    tiny: Dataset, short: FeedForwardRecipe, tmp_path: Path, at_rest: bool, request: pytest.FixtureRequest
) -> None:
    train(short, tmp_path / "here", tiny)
    request.getfixturevalue("not_posix")
    train(short, tmp_path / "there", tiny, offload=at_rest)
    here, there = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("here", "there"))
    assert here == there


@pytest.mark.usefixtures("not_posix")
def test_the_command_line_needs_nothing_that_only_posix_has(tmp_path: Path) -> None:
    code, _, said = answer(["train", "digits", *SMALL, "--run", str(tmp_path / "run"), "--no-pictures"])
    assert code == 0, said


@pytest.mark.parametrize("lacking", ["Linux", "mallopt"])
def test_layers_rest_on_disk_whatever_the_c_library_offers(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = list(dense(6, (5, 4), Rule(), torch.Generator().manual_seed(0)))
    before = [layer.get_parameter("weight").clone() for layer in layers]
    with monkeypatch.context() as patch:
        if lacking == "Linux":
            patch.setattr(sys, "platform", "win32")
            patch.setattr(ctypes, "CDLL", None)
        else:
            patch.setattr(ctypes, "CDLL", lambda name: object())
        kept = offload.keep_on_disk(layers, tmp_path)
    assert all(torch.equal(layer.get_parameter("weight"), weight) for layer, weight in zip(kept, before, strict=True))


# Rights --------------------------------------------------------------------------------------------------------------

UNPORTABLE = {"chmod", "fchmod", "lchmod", "lchflags", "chown", "mkstemp", "NamedTemporaryFile", "fork", "forkpty"}
"""Functions that some shares or systems refuse, or whose files have other rights than the umask leaves."""


def test_no_rights_of_files_are_set_and_no_process_is_forked() -> None:
    offenders = [
        f"{path}:{node.lineno}"
        for path, text in SOURCES.items()
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Attribute) and node.attr in UNPORTABLE)
        or (isinstance(node, ast.Name) and node.id in UNPORTABLE)
    ]
    assert offenders == []


def test_a_share_that_refuses_chmod_takes_a_training(
    tiny: Dataset, short: FeedForwardRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    for name in ("chmod", "fchmod", "lchmod", "chown", "fchown"):
        monkeypatch.setattr(os, name, refuse, raising=False)
    for at_rest in (False, True):
        train(short, tmp_path / str(at_rest), tiny, offload=at_rest)


@pytest.fixture(params=[0o077, 0o022, 0o002, 0o000], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_has_the_rights_that_the_umask_leaves(writer: str, umask: int, tmp_path: Path) -> None:
    """Files of a common folder would be closed to colleagues, or private ones open to all."""
    WRITERS[writer](tmp_path / "new" / "file")
    for path, rights in ((tmp_path / "new", 0o777), (tmp_path / "new" / "file", 0o666)):
        assert stat.S_IMODE(path.stat().st_mode) == rights & ~umask


def test_all_files_of_a_run_have_the_rights_that_the_umask_leaves(
    tiny: Dataset, short: FeedForwardRecipe, umask: int, tmp_path: Path
) -> None:
    train(short, tmp_path / "run", tiny)
    for path in [tmp_path / "run", *(tmp_path / "run").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~umask, path


# Nobody's home, no compiler ------------------------------------------------------------------------------------------

HOMES = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")

NAMELESS = """
import os, pwd, sys

def nobody(who):
    raise KeyError(f"getpwuid(): uid not found: {who}")

pwd.getpwuid = nobody
import twofold
from twofold.cli.main import main
code = main(sys.argv[1:])
"""
"""A program whose user has no name; what it leaves in ``code`` is the exit code."""

UNCOMPILED = """
loaded = [name for name in sys.modules if name.startswith(("torch._inductor", "torch._dynamo.eval_frame", "triton"))]
assert not loaded, loaded
"""


def run_alone(code: str, folder: Path, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Train in a process of its own, in ``folder``."""
    words = ["train", "digits", *SMALL, "--run", "run", *options]
    return subprocess.run(
        [sys.executable, "-c", f"{code}\nsys.exit(code)", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )


@pytest.mark.slow
@pytest.mark.parametrize("home", [None, "unwritable"])
def test_a_training_with_pictures_needs_no_home_no_name_and_no_place_for_temporary_files(
    home: str | None, tmp_path: Path
) -> None:
    """As in a container that is started with a number for a user."""
    environment = {name: value for name, value in os.environ.items() if name not in HOMES}
    unwritable = "/proc" if Path("/proc").is_dir() else "/dev/null"
    environment |= {"TMPDIR": unwritable} | ({"HOME": unwritable} if home else {})
    done = run_alone(NAMELESS, tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"matplotlib|cache|warning", done.stderr, re.IGNORECASE), done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    assert len(list((tmp_path / "run" / "pictures").iterdir())) > 2


@pytest.mark.slow
def test_a_training_needs_no_compiler_and_asks_for_none(tmp_path: Path) -> None:
    """A compiler that is there and does not work has ended long trainings."""
    cache = tmp_path / "cache"
    cache.write_text("no folder")
    broken = {"CC": "/bin/false", "CXX": "/bin/false", "PATH": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(cache)}
    environment = {**os.environ, **broken, "TRITON_CACHE_DIR": str(cache)}
    done = run_alone(f"{NAMELESS}{UNCOMPILED}", tmp_path, environment, "--no-pictures")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "result.json").exists()


def test_nothing_is_compiled() -> None:
    compilers = r"torch\.compile|_dynamo|inductor|torch\.jit|cpp_extension"
    assert [str(path) for path, text in SOURCES.items() if re.search(compilers, text)] == []
