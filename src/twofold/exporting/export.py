"""A trained net as a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twofold.checks import typed
from twofold.data.preparation import Preparation
from twofold.errors import RunError, SettingError
from twofold.exporting import card, onnx
from twofold.files import write_bytes
from twofold.nets.net import Net
from twofold.training import run, single_file
from twofold.training.run import Run
from twofold.training.run_folder import RunFolder


@typed
def export(model: Run | Net | Path, path: Path, preparation: Preparation | None = None) -> Path:
    """Write a trained net as a file of its own, whole or not at all; how the name ends says as which.

    ``.onnx``: all its tests for other programs, see `onnx.write`. ``.safetensors``: one file that `twofold.load` reads.
    ``.md``: a model card, see `card.card`.

    Args:
        model: a run, its folder, or for ONNX also a net.
        path: of the file.
        preparation: of a net that is no run: the shape of its images, and the names of the classes.

    Returns:
        The path.

    Raises:
        SettingError: the name ends otherwise, a package is not here, or the net cannot be brought into that form.
        RunError: the run is damaged or not complete, or the file cannot be written.
    """
    if path.suffix not in ENDINGS:
        raise SettingError(f"{path} ends in {path.suffix or 'nothing'}, expected {' or '.join(ENDINGS)}: rename it")
    if isinstance(model, Net):
        if path.suffix != ".onnx":
            raise SettingError(f"{path}: a net alone has no settings to write: export a run, or to a name in .onnx")
        if preparation is None:
            raise SettingError(
                "preparation is None, expected the shape of an image and the names of the classes, as Preparation("
                "kind='pictures', shape=(1, 28, 28), names=('0', '1'))"
            )
        onnx.write(model, path, preparation)
        return path
    if preparation is not None:
        raise SettingError("preparation is given, but a run has its own: leave it away")
    ENDINGS[path.suffix](model, path)
    return path


def _loaded(model: Run | Path) -> Run:
    return model if isinstance(model, Run) else run.load(model, "cpu")


def _to_onnx(model: Run | Path, path: Path) -> None:
    loaded = _loaded(model)
    if loaded.preparation is None:
        raise SettingError(f"{loaded.folder} was trained on {loaded.result.dataset}, which has no labeled images")
    onnx.write(loaded.net, path, loaded.preparation, loaded.recipe.fields())


def _to_safetensors(model: Run | Path, path: Path) -> None:
    folder = model.folder if isinstance(model, Run) else model
    if folder.is_file():
        raise RunError(f"{folder} is one file already: copy it, or give the run folder")
    single_file.write(RunFolder(folder), path)


def _to_card(model: Run | Path, path: Path) -> None:
    write_bytes(path, card.card(_loaded(model)).encode())


ENDINGS: dict[str, Callable[[Run | Path, Path], None]] = {
    ".onnx": _to_onnx,
    ".safetensors": _to_safetensors,
    ".md": _to_card,
}
"""What is written, by the ending of the file's name."""

KINDS = {"onnx": "model.onnx", "safetensors": "model.safetensors", "card": "README.md"}
"""Kinds of files, and what each is called where it has no other name."""
