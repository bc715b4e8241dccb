# The audit hook runs whenever a file is opened, and it is faster on strings than on Paths.
# ruff: noqa: PTH109, PTH115, PTH117, PTH118, PTH119, PTH120
"""Fails tests that write outside temporary directories, and sessions that change the checkout.

Three checks complement each other:

- An audit hook sees what Python code of the test process opens for writing, creates, renames, changes and removes. It
  does not see what compiled code or another process writes.
- Every test starts in an empty directory, and must leave it empty. Whatever writes by a relative path, in this process
  or in another one, writes there instead of into the checkout.
- The files of the checkout are listed when the session starts and compared when it ends. With pytest-xdist, only the
  controller does this.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
"""The flags of which an opening for writing has at least one."""

WRITING_MODES = frozenset("wax+")
"""The letters of which the mode of an opening for writing has at least one."""

AUDITED = {
    "open": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((1, 3),),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.removexattr": ((0, None),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.setxattr": ((0, None),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
}
"""The audit events that tell of a write. For each path that is written to: its place among the arguments, and the place
of the file descriptor of the directory that it is relative to. The functions of shutil raise these events, too."""

IGNORED = {".git", ".venv", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__"}
"""Names in the checkout that tools may change while tests run."""

SHOWN = 20
"""The number of paths that a message names at most."""


class WriteGuard:
    """A pytest plugin that fails tests that write outside temporary directories. Register one in a process.

    Args:
        config: pytest's configuration.
        checkout: The directory that the session must leave unchanged. Tests may not write there even if it lies below
            the system's temporary directory itself.
    """

    def __init__(self, config: pytest.Config, checkout: Path) -> None:
        self.checkout = str(checkout)
        allowed = [tempfile.gettempdir(), config.getoption("basetemp"), os.environ.get("PYTEST_DEBUG_TEMPROOT")]
        places = {find(place) for place in allowed if place for find in (os.path.abspath, os.path.realpath)}
        self.allowed = tuple(place + os.sep for place in (*places, "/dev", "/proc", "/sys"))
        self.allowed_in_checkout = tuple(place for place in self.allowed if self._in_checkout(place))
        self.writes: dict[str, str] | None = None  # path -> what was done; None while no test runs
        self.start = tempfile.mkdtemp(prefix="tests-start-")
        self.is_controller = not hasattr(config, "workerinput")
        self.before = self._files() if self.is_controller else {}
        self.changes: list[str] = []
        sys.addaudithook(self._audit)

    def _in_checkout(self, path: str) -> bool:
        return (path + os.sep).startswith(self.checkout + os.sep)

    def _is_allowed(self, path: str) -> bool:
        whole = path + os.sep
        places = self.allowed_in_checkout if self._in_checkout(path) else self.allowed
        return whole.startswith(places) or f"{os.sep}__pycache__{os.sep}" in whole

    def _audit(self, event: str, given: tuple[Any, ...]) -> None:
        """Records a write outside the allowed directories. Never raises an error of its own."""
        if event not in AUDITED or self.writes is None:
            return
        with contextlib.suppress(Exception):
            if event == "open" and not given[2] & WRITES and WRITING_MODES.isdisjoint(given[1] or ""):
                return
            for place, folder in AUDITED[event]:
                if isinstance(given[place], int):  # a file that is open already
                    continue
                path = absolute(given[place], -1 if folder is None else given[folder])
                if not self._is_allowed(path) and not self._is_allowed(real(path)):
                    self.writes.setdefault(path, event)

    def _files(self) -> dict[str, tuple[int, int] | None]:
        """The size and the time of change of every file in the checkout, and None for every directory."""
        return dict(files(self.checkout, self.allowed_in_checkout))

    def _unexpected(self) -> list[str]:
        """What has been written where it must not since the last call. Empties the start directory."""
        found = [f"{path} ({event})" for path, event in (self.writes or {}).items()]
        if self.writes is not None:
            self.writes = {}
        for entry in list(os.scandir(self.start)):
            found.append(f"{entry.name} (by a relative path)")
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink()
        return found

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Runs each test in the start directory, and watches it."""
        before = os.getcwd()
        os.chdir(self.start)
        self.writes = {}
        try:
            return (yield)
        finally:
            self.writes = None
            os.chdir(before)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fails the setup, the call or the teardown of a test that has written where it must not."""
        found = self._unexpected()
        report = yield
        if found:
            more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
            words = (
                f"written outside the test's temporary directory: {', '.join(found[:SHOWN] + more)}\n"
                f"{item.nodeid} may write only below temporary directories. Use absolute paths below tmp_path, or call "
                "monkeypatch.chdir(tmp_path) before anything is written by a relative path."
            )
            if report.failed:
                report.sections.append(("Write guard", words))
            else:
                report.outcome, report.longrepr = "failed", words
                vars(report).pop("wasxfail", None)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fails the session if the checkout is not what it was. Reports that pytest itself writes come later."""
        if not self.is_controller:
            return
        after = self._files()
        self.changes = [
            f"{'added' if path not in self.before else 'removed' if path not in after else 'changed'}: {path}"
            for path in sorted(self.before.keys() | after.keys())
            if (path in self.before, self.before.get(path)) != (path in after, after.get(path))
        ]
        if self.changes and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the files of the checkout that have changed."""
        if self.changes:
            terminalreporter.section("the checkout has changed", red=True, bold=True)
            for line in self.changes:
                terminalreporter.line(line)
            terminalreporter.line(
                f"Tests must leave {self.checkout} unchanged. A process that a test started has written there, or "
                "something else has while the tests ran."
            )

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self.start, ignore_errors=True)


def absolute(path: Any, folder: int) -> str:
    """A path as an absolute one. ``folder`` is the descriptor of the directory that it is relative to, or -1."""
    path = os.fsdecode(path)
    if not os.path.isabs(path):
        path = os.path.join(os.getcwd() if folder == -1 else os.readlink(f"/proc/self/fd/{folder}"), path)
    return os.path.normpath(path)


def real(path: str) -> str:
    """A path whose directory has no symbolic links in it."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def files(root: str, left_out: tuple[str, ...], below: str = "") -> Iterator[tuple[str, tuple[int, int] | None]]:
    """Every file below a directory with its size and time of change, and every directory with None."""
    with contextlib.suppress(OSError), os.scandir(os.path.join(root, below)) as entries:
        for entry in entries:
            if entry.name in IGNORED or entry.name.endswith(".egg-info") or (entry.path + os.sep).startswith(left_out):
                continue
            path = os.path.join(below, entry.name)
            if entry.is_dir(follow_symlinks=False):
                yield path + os.sep, None
                yield from files(root, left_out, path)
                continue
            with contextlib.suppress(OSError):  # removed since it was found
                stat = entry.stat(follow_symlinks=False)
                yield path, (stat.st_size, stat.st_mtime_ns)
