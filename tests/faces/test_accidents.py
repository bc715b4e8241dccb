"""Nothing that happens around a command ends it halfway, or costs what was computed.

Oracles: the documented contract (exit codes, one line), and what lies in the run folder.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command_line import PROGRAM, SMALL, answer
from twofold.cli.commands import COMMANDS
from twofold.cli.main import main
from twofold.cli.output import say
from twofold.cli.progress import Bar
from twofold.errors import remark
from twofold.training import runs

pytestmark = pytest.mark.usefixtures("_in_an_empty_folder")

ONE_EPOCH = ["train", "digits", *SMALL, "--epochs", "1", "--no-pictures"]


class Broken(io.StringIO):
    """A stream that nothing can be written to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.why = error

    def write(self, text: str) -> int:
        raise self.why


REASONS = [
    OSError(errno.EPIPE, "Broken pipe"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EIO, "Input/output error"),
    ValueError("I/O operation on closed file"),
]


@pytest.mark.parametrize("why", REASONS, ids=str)
@pytest.mark.parametrize("redirect", [contextlib.redirect_stdout, contextlib.redirect_stderr])
def test_a_training_whose_words_do_not_arrive_comes_to_its_end(
    redirect: Callable[[io.StringIO], contextlib.AbstractContextManager[object]],
    why: Exception,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An answer that someone waits for and that is lost is an error; progress, or a reader who has gone, is none."""
    with redirect(Broken(why)):
        code = main([*ONE_EPOCH, "--run", "run", "--json"])
    lost = redirect is contextlib.redirect_stdout and getattr(why, "errno", None) in (errno.ENOSPC, errno.EIO)
    assert code == (1 if lost else 0)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("twofold: ")]
    assert len(said) == lost
    assert all(str(why).split("] ")[-1] in line for line in said)
    assert runs.load("run").result.epochs == 1


def small_process(words: str, shell: str) -> subprocess.CompletedProcess[str]:
    """A training in a shell, which sends its streams elsewhere."""
    program = " ".join(f"'{word}'" for word in PROGRAM)
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell.replace("TRAIN", f"{program} {words}")],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("TRAIN 2>&1 | head -1", 0),
        ("TRAIN >/dev/full", 1),
        ("TRAIN >&- 2>&- <&-", 0),
    ],
)
def test_a_training_in_a_shell_that_takes_its_words_away_comes_to_its_end(shell: str, code: int) -> None:
    words = " ".join(["train", "digits", *SMALL, "--epochs", "8", "--run", "run"])
    ended = small_process(words, shell)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert runs.load("run").result.epochs == 8
    assert len(list(Path("run/pictures").iterdir())) == 4


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_characters_that_a_stream_does_not_have_are_escaped(encoding: str) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding, "strict") as out, contextlib.redirect_stdout(out):
        assert main([*ONE_EPOCH, "--run", "rü→", "--json"]) == 0
        *_, line, following, facts = raw.getvalue().decode(encoding).splitlines()
    folder = {"ascii": "r\\xfc\\u2192", "latin-1": "rü\\u2192", "utf-8": "rü→"}[encoding]
    assert (line, following) == (f"run: {folder}", f"next: twofold predict '{folder}' PICTURE...")
    assert json.loads(facts)["run"] == "rü→"


def test_a_line_stays_one_line_whatever_it_quotes() -> None:
    assert answer(["eval", "a\nb\x1b[31m\u2028"])[2] == [
        "twofold: error: a\\nb\\x1b[31m\\u2028 is not a run folder (no config.json): give one made by `twofold train`"
    ]


# ---- remarks -------------------------------------------------------------------------------------------------------


def test_a_remark_is_a_line_and_said_once_also_while_a_bar_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(words: object) -> None:
        with Bar("digits", 2):
            for _ in range(2):
                remark("the disk is slow")
                remark("the disk is\nfull")

    monkeypatch.setitem(COMMANDS, "plot", command)
    before = warnings.showwarning
    assert answer(["plot"]) == (0, [], ["twofold: note: the disk is slow", "twofold: note: the disk is\\nfull"])
    assert warnings.showwarning is before


def test_the_warnings_of_others_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "plot", lambda words: warnings.warn("old", DeprecationWarning, stacklevel=1))
    with pytest.raises(DeprecationWarning, match="old"):  # as tests want it
        answer(["plot"])


# ---- signals -------------------------------------------------------------------------------------------------------

SIGNALS = {number: 128 + number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, 0))}
"""The exit code of each."""


@pytest.fixture(autouse=True)
def _signals_are_heard() -> object:
    """Whoever started the tests may ignore some."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_end_a_command_in_one_line(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "plot", lambda words: signal.raise_signal(number))
    assert answer(["plot"]) == (SIGNALS[number], [], ["twofold: interrupted; repeat the command to continue"])
    assert signal.getsignal(number) is signal.default_int_handler


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_that_are_ignored_stay_ignored(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(number, signal.SIG_IGN)
    monkeypatch.setitem(COMMANDS, "plot", lambda words: signal.raise_signal(number))
    assert answer(["plot"]) == (0, [], [])


def test_an_interrupt_that_comes_out_as_another_error_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """As within an import: what is half there fails in its own way."""

    def command(words: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("partially initialized module") from None

    monkeypatch.setitem(COMMANDS, "plot", command)
    assert answer(["plot"]) == (143, [], ["twofold: interrupted; repeat the command to continue"])


def test_an_interrupt_that_comes_while_an_object_is_deleted_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python lets no exception out of there: it would print a traceback, and the command would go on."""

    class Deleted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def command(words: object) -> None:
        Deleted()
        for _ in range(1000):
            time.sleep(0.01)

    monkeypatch.setitem(COMMANDS, "plot", command)
    before = sys.unraisablehook
    assert answer(["plot"]) == (143, [], ["twofold: interrupted; repeat the command to continue"])
    assert sys.unraisablehook is before


def test_a_second_signal_does_not_cut_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "plot", lambda words: signal.raise_signal(signal.SIGINT))
    again = lambda text: (signal.raise_signal(signal.SIGINT), say(text))  # noqa: E731
    monkeypatch.setattr(sys.modules["twofold.cli.main"], "say", again)
    assert answer(["plot"]) == (130, [], ["twofold: interrupted; repeat the command to continue"])


def test_a_command_in_another_thread_leaves_signals_alone() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(main(["--version"])))
    thread.start()
    thread.join()
    assert found == [0]


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_training_says_how_to_go_on(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["train", "digits", *SMALL, "--no-pictures"]
    with monkeypatch.context() as patch:
        patch.setattr(Bar, "epoch", lambda self, metrics: signal.raise_signal(number))
        code, out, err = answer(words)
    assert (code, out) == (SIGNALS[number], [])
    assert err == [
        "twofold: interrupted; epoch 1 is saved in runs/digits-seed0: to continue, repeat the command with "
        "--run runs/digits-seed0 --resume (in Python, resume=True)"
    ]
    assert answer([*words, "--run", str(Path("runs/digits-seed0").absolute()), "--resume"])[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["the twin", "the pictures"])
def test_what_was_trained_before_an_interrupt_is_kept_and_not_trained_again(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def epoch(self: Bar, metrics: object) -> None:
        if moment == "the twin" and self.title == "digits-twin":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Bar, "epoch", epoch)
    monkeypatch.setattr(runs, "draw", lambda *given: signal.raise_signal(signal.SIGINT))
    words = ["train", "digits", *SMALL, "--with-twin"]
    code, _, err = answer(words)
    assert code == 130
    assert err == [
        "twofold: interrupted; digits is trained and saved in runs/digits-seed0: to continue, repeat the command with "
        "--run runs/digits-seed0 --resume"
    ]
    trained = runs.load("runs/digits-seed0").result
    monkeypatch.setattr(Bar, "epoch", lambda self, metrics: None)
    monkeypatch.setattr(runs, "draw", lambda *given: [])
    assert answer([*words, "--run", "runs/digits-seed0", "--resume"])[0] == 0
    assert runs.load("runs/digits-seed0").result == trained
    assert runs.load("runs/digits-seed0/twin").result.recipe == "digits-twin"


@pytest.mark.parametrize("words", ["run layer", "draw relax"])
def test_an_interrupted_claim_says_that_it_goes_on_by_itself(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bar, "__enter__", lambda self: signal.raise_signal(signal.SIGTERM))
    code, _, err = answer(["claims", *words.split()])
    assert code == 143
    assert err == ["twofold: interrupted; repeat the command to continue with the training runs in runs/claims"]


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_pytorch_is_imported_ends_in_one_line(number: int, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(f"import signal, time; signal.raise_signal({int(number)}); time.sleep(30)")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    ended = subprocess.run(
        [*PROGRAM, "train", "digits"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        SIGNALS[number],
        "",
        "twofold: interrupted; repeat the command to continue\n",
    )
