"""A test that writes outside its temporary directory fails, and a session that changes the checkout fails.

Oracle: small checkouts with tests of their own, which pytest runs in a process of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CONFTEST = """
from pathlib import Path
from support.write_guard import WriteGuard

def pytest_configure(config):
    config.pluginmanager.register(WriteGuard(config, Path(__file__).resolve().parent))
"""

HEAD = f"""
import os, pytest, shutil, subprocess, sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent
OUTSIDE = Path({str(Path(__file__).resolve().anchor + "no-such-directory")!r})

"""


def run(checkout: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs pytest on a checkout with these tests, a file ``kept.txt`` and a directory ``kept``."""
    (checkout / "kept").mkdir(parents=True)
    (checkout / "kept.txt").write_text("kept")
    (checkout / "conftest.py").write_text(CONFTEST)
    (checkout / "test_it.py").write_text(HEAD + tests)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA", *options, str(checkout)]
    path = os.pathsep.join([str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The outcome of each test."""
    return {name: outcome for outcome, name in re.findall(r"^([A-Z]+) test_it\.py::(\w+)", done.stdout, re.MULTILINE)}


WRITING = {
    "open": ("(CHECKOUT / 'a').write_text('')", "{checkout}/a (open)"),
    "append": ("open(CHECKOUT / 'kept.txt', 'a').close()", "{checkout}/kept.txt (open)"),
    "update": ("open(CHECKOUT / 'kept.txt', 'r+').close()", "{checkout}/kept.txt (open)"),
    "os_open": ("os.close(os.open(CHECKOUT / 'a', os.O_CREAT | os.O_WRONLY))", "{checkout}/a (open)"),
    "bytes": ("os.mkdir(os.fsencode(CHECKOUT / 'a'))", "{checkout}/a (os.mkdir)"),
    "mkdir": ("(CHECKOUT / 'a').mkdir()", "{checkout}/a (os.mkdir)"),
    "remove": ("(CHECKOUT / 'kept.txt').unlink()", "{checkout}/kept.txt (os.remove)"),
    "rmdir": ("(CHECKOUT / 'kept').rmdir()", "{checkout}/kept (os.rmdir)"),
    "rmtree": ("shutil.rmtree(CHECKOUT / 'kept')", "{checkout}/kept (os.rmdir)"),
    "rename": ("(CHECKOUT / 'kept.txt').rename(tmp_path / 'a')", "{checkout}/kept.txt (os.rename)"),
    "replace": ("(tmp_path / 'a').touch(); os.replace(tmp_path / 'a', CHECKOUT / 'a')", "{checkout}/a (os.rename)"),
    "copy": ("shutil.copytree(CHECKOUT / 'kept', CHECKOUT / 'a')", "{checkout}/a (os.mkdir)"),
    "symlink": ("(CHECKOUT / 'a').symlink_to(tmp_path)", "{checkout}/a (os.symlink)"),
    "hardlink": ("(tmp_path / 'a').touch(); os.link(tmp_path / 'a', CHECKOUT / 'a')", "{checkout}/a (os.link)"),
    "truncate": ("os.truncate(CHECKOUT / 'kept.txt', 1)", "{checkout}/kept.txt (os.truncate)"),
    "chmod": ("(CHECKOUT / 'kept.txt').chmod(0o600)", "{checkout}/kept.txt (os.chmod)"),
    "utime": ("(CHECKOUT / 'kept.txt').touch()", "{checkout}/kept.txt (os.utime)"),
    "moved": ("os.chdir(CHECKOUT); Path('a').touch()", "{checkout}/a (os.utime)"),
    "descriptor": ("os.mkdir('b', dir_fd=os.open(CHECKOUT, os.O_RDONLY))", "{checkout}/b (os.mkdir)"),
    "back": ("os.mkdir(CHECKOUT / 'kept' / '..' / 'b')", "{checkout}/b (os.mkdir)"),
    "attempt": ("with pytest.raises(OSError):\n        (OUTSIDE / 'a').touch()", "/no-such-directory/a ("),
    "relative": ("Path('a').touch()", "a (by a relative path)"),
    "process": ("subprocess.run(['mkdir', '-p', 'a/b'], check=True)", "a (by a relative path)"),
    "skipping": ("(CHECKOUT / 'a').mkdir(); pytest.skip()", "{checkout}/a (os.mkdir)"),
    "failing": ("(CHECKOUT / 'a').mkdir(); assert not 'its own failure'", "{checkout}/a (os.mkdir)"),
}
"""Code of a test that writes into the checkout, and the error that it gets."""

RESTORED = """
@pytest.fixture(autouse=True)
def restored():
    yield
    command = "rm -rf a b kept; mkdir kept; printf kept > kept.txt"
    subprocess.run(command, shell=True, cwd=CHECKOUT, check=True)
"""


def test_a_test_that_writes_outside_its_temporary_directory_fails_with_the_file_and_its_name(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    tests = "".join(f"\ndef test_{name}(tmp_path):\n    {code}\n" for name, (code, _) in WRITING.items())
    done = run(checkout, RESTORED + tests)
    assert done.returncode == 1
    assert set(outcomes(done).items()) == {(f"test_{name}", "FAILED") for name in WRITING}, done.stdout
    for name, (_, told) in WRITING.items():
        section = re.search(rf"^_+ test_{name} _+$(.*?)^(?:_+ test_|=+ )", done.stdout, re.MULTILINE | re.DOTALL)
        assert section, done.stdout
        assert told.format(checkout=checkout.resolve()) in section[1], section[0]
        assert f"test_it.py::test_{name} may write only below temporary directories" in section[1]
    assert "its own failure" in done.stdout


HARMLESS = {
    "tmp_path": "(tmp_path / 'a').mkdir(); (tmp_path / 'a' / 'b').touch(); shutil.rmtree(tmp_path / 'a')",
    "chdir": "monkeypatch.chdir(tmp_path); Path('a').touch(); Path('a').rename('b')",
    "temporary": "import tempfile; tempfile.TemporaryFile().close(); tempfile.TemporaryDirectory().cleanup()",
    "reading": "assert (CHECKOUT / 'kept.txt').read_text() == 'kept'; os.close(os.open(CHECKOUT, os.O_RDONLY))",
    "devices": "open(os.devnull, 'w').close(); os.listdir('/proc/self')",
    "descriptor": "with open(os.open(tmp_path / 'a', os.O_CREAT | os.O_WRONLY), 'w') as file: os.fchmod(1, 0o600)",
    "bytecode": "monkeypatch.syspath_prepend(CHECKOUT); import other; assert other.__cached__",
    "odd": "with pytest.raises((TypeError, ValueError)):\n        open('a\\0', 'w')\n    "
    "with pytest.raises(TypeError):\n        os.mkdir(object())",
    "removed": "(tmp_path / 'a').mkdir(); os.chdir(tmp_path / 'a'); shutil.rmtree(tmp_path / 'a')\n    "
    "with pytest.raises(OSError):\n        Path('b').touch()",
}
"""What a test may do."""


@pytest.mark.parametrize("basetemp", [False, True], ids=["elsewhere", "a basetemp in the checkout"])
def test_a_test_that_writes_below_temporary_directories_passes(tmp_path: Path, basetemp: bool) -> None:
    checkout = tmp_path / "checkout"
    tests = "".join(f"\ndef test_{name}(tmp_path, monkeypatch):\n    {code}\n" for name, code in HARMLESS.items())
    checkout.mkdir()
    (checkout / "other.py").touch()
    done = run(checkout, tests, *(["--basetemp", str(checkout / "temporary")] if basetemp else []))
    assert set(outcomes(done).items()) == {(f"test_{name}", "PASSED") for name in HARMLESS}, done.stdout
    assert done.returncode == 0


def test_a_write_in_a_fixture_is_an_error_and_an_expected_failure_is_no_excuse(tmp_path: Path) -> None:
    done = run(
        tmp_path / "checkout",
        """
@pytest.fixture
def before():
    (CHECKOUT / "kept").rmdir()
    (CHECKOUT / "kept").mkdir()

@pytest.fixture
def after():
    yield
    (CHECKOUT / "kept").rmdir()
    (CHECKOUT / "kept").mkdir()

def test_before(before): pass

def test_after(after): pass

@pytest.mark.xfail
def test_expected():
    Path("a").touch()
    assert False

def test_innocent():
    assert not os.listdir()
""",
    )
    assert outcomes(done) == {
        "test_before": "ERROR",
        "test_after": "ERROR",
        "test_expected": "FAILED",
        "test_innocent": "PASSED",
    }


CHANGING = """
@pytest.mark.parametrize("number", range(4))
def test_it(number):
    command = ["touch a", "mkdir -p b/c", "printf more >> kept.txt", "rm -rf kept"][number]
    subprocess.run(command, shell=True, cwd=CHECKOUT, check=True)
    for name in [".pytest_cache", ".git", "__pycache__", "my.egg-info"]:
        subprocess.run(["mkdir", "-p", str(CHECKOUT / name / str(number))], check=True)
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_a_session_in_which_another_process_changes_the_checkout_fails_and_names_the_files(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = run(tmp_path / "checkout", CHANGING, *options)
    assert "4 passed" in done.stdout
    assert done.returncode == 1
    told = re.search(r"^=+ the checkout has changed =+\n(.*?)Tests must leave", done.stdout, re.MULTILINE | re.DOTALL)
    assert told, done.stdout
    assert told[1].splitlines() == ["added: a", "added: b/", "added: b/c/", "changed: kept.txt", "removed: kept/"]


def test_a_session_that_leaves_the_checkout_as_it_was_passes_and_leaves_no_directory_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    code = f"""
def test_it():
    assert not os.listdir()
    assert str(Path.cwd()).startswith({str(temporary)!r})
"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        done = run(tmp_path / "checkout", code, "-n", "1", f"--junitxml={tmp_path / 'checkout' / 'report.xml'}")
    assert done.returncode == 0, done.stdout
    assert not list(temporary.glob("tests-start-*"))
    assert (tmp_path / "checkout" / "report.xml").exists()
