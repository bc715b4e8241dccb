"""A trained net as a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twofold.checks import typed
from twofold.errors import RunError, SettingError
from twofold.exporting import card, onnx
from twofold.files import write_bytes
from twofold.training import single_file
from twofold.training.run_folder import RunFolder
from twofold.training.runs import Run, load


@typed
def export(run: Run | Path, path: Path) -> Path:
    """Write the net of a run as a file of its own, whole or not at all; how the name ends says as which.

    ``.onnx``: all its tests for other programs, see `onnx.write`. ``.safetensors``: one file that `twofold.load` reads.
    ``.md``: a model card, see `card.card`.

    Args:
        run: a run, or where it lies.
        path: of the file.

    Returns:
        The path.

    Raises:
        SettingError: the name ends otherwise, a package is not here, or the net cannot be brought into that form.
        RunError: the run is damaged or not complete, or the file cannot be written.
    """
    if path.suffix not in ENDINGS:
        raise SettingError(f"{path} ends in {path.suffix or 'nothing'}, expected {' or '.join(ENDINGS)}: rename it")
    ENDINGS[path.suffix](run, path)
    return path


def _loaded(run: Run | Path) -> Run:
    return run if isinstance(run, Run) else load(run, "cpu")


def _to_onnx(run: Run | Path, path: Path) -> None:
    loaded = _loaded(run)
    if loaded.preparation is None:
        raise SettingError(f"{loaded.folder} was trained on {loaded.result.dataset}, which has no labeled images")
    onnx.write(loaded.net, path, loaded.preparation, loaded.recipe.fields())


def _to_safetensors(run: Run | Path, path: Path) -> None:
    folder = run.folder if isinstance(run, Run) else run
    if folder.is_file():
        raise RunError(f"{folder} is one file already: copy it, or give the run folder")
    single_file.write(RunFolder(folder), path)


def _to_card(run: Run | Path, path: Path) -> None:
    write_bytes(path, card.card(_loaded(run)).encode())


ENDINGS: dict[str, Callable[[Run | Path, Path], None]] = {
    ".onnx": _to_onnx,
    ".safetensors": _to_safetensors,
    ".md": _to_card,
}
"""What is written, by the ending of the file's name."""

KINDS = {"onnx": "model.onnx", "safetensors": "model.safetensors", "card": "README.md"}
"""Kinds of files, and what each is called where it has no other name."""
