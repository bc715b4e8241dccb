"""Export of a trained net to a single file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twofold.checks import check_arguments
from twofold.errors import RunError, SettingError
from twofold.exporting import card, onnx
from twofold.files import write_bytes
from twofold.training import single_file
from twofold.training.run_folder import RunFolder
from twofold.training.runs import Run, load


@check_arguments
def export(run: Run | Path, path: Path) -> Path:
    """Write the net of a run atomically to a single file. The suffix of the file selects the format.

    ``.onnx``: all tests of the net, for programs without twofold; see `onnx.write`. ``.safetensors``: a file that
    `twofold.load` reads. ``.md``: a model card, which describes the net; see `card.card`.

    Args:
        run: A run, or the path of its run folder or safetensors file.
        path: Path of the file to write.

    Returns:
        The path.

    Raises:
        SettingError: The suffix is unknown, a required package is not installed, or the format does not support the
            net.
        RunError: The run is damaged or not complete, or the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise SettingError(f"unsupported suffix {path.suffix!r} of {path} (supported: {', '.join(FORMATS)})")
    FORMATS[path.suffix](run, path)
    return path


def _loaded(run: Run | Path) -> Run:
    return run if isinstance(run, Run) else load(run, "cpu")


def _to_onnx(run: Run | Path, path: Path) -> None:
    loaded = _loaded(run)
    if loaded.preparation is None:
        raise SettingError(f"{loaded.folder} was trained on {loaded.result.dataset}, expected a labeled data set")
    onnx.write(loaded.net, path, loaded.preparation, loaded.recipe.fields())


def _to_safetensors(run: Run | Path, path: Path) -> None:
    folder = run.folder if isinstance(run, Run) else run
    if folder.is_file():
        raise RunError(f"{folder} is a single file already: copy it, or give the run folder")
    single_file.write(RunFolder(folder), path)


def _to_card(run: Run | Path, path: Path) -> None:
    write_bytes(path, card.card(_loaded(run)).encode())


FORMATS: dict[str, Callable[[Run | Path, Path], None]] = {
    ".onnx": _to_onnx,
    ".safetensors": _to_safetensors,
    ".md": _to_card,
}
"""Suffix of a file -> function that writes the net of a run to such a file."""

KINDS = {"onnx": "model.onnx", "safetensors": "model.safetensors", "card": "README.md"}
"""Export format (``--to`` on the command line) -> default file name."""
