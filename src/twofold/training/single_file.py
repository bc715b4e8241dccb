"""Export of a run to a single safetensors file, which is sufficient to load and use the net.

The header of the file contains the settings, the preprocessing of the data, the names of the classes and the results.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from torch import Tensor

from twofold import checkpoint
from twofold.errors import RunError
from twofold.training.config import FORMAT, Config, reason
from twofold.training.result import Result
from twofold.training.run_folder import RunFolder


def write(run_folder: RunFolder, path: Path) -> None:
    """Write a complete run to a single file, atomically.

    The file does not contain paths of folders and data on this machine, since it may be shared.

    Args:
        run_folder: folder of the run.
        path: file to write.

    Raises:
        RunError: the run is not complete, one of its files is damaged, or the new file cannot be written.
    """
    config, result = run_folder.config(), run_folder.result()
    weights, _ = checkpoint.read(run_folder.weights, signed=config.format > 1)
    started_from = _without_folder(config.started_from)
    config = replace(config, source=None, started_from=started_from, format=FORMAT)
    result = replace(result, run=run_folder.path.absolute().name, started_from=started_from)
    checkpoint.write(path, weights, {"config": config.to_json(), "result": result.to_json()})


def read(path: Path) -> tuple[Config, Result, dict[str, Tensor]]:
    """Read a file written by `write`, and return its config, its result and the weights by name.

    Raises:
        RunError: the file is damaged, written by a newer version, or not an exported run.
    """
    weights, facts = checkpoint.read(path, signed=True, remedy="export or download it again")
    if not {"config", "result"} <= facts.keys():
        raise RunError(
            f"{path} has weights but no settings of a net: give a run folder, or a file written by `twofold export`"
        )
    try:
        content: dict[str, Any] = facts["config"]
        content.pop("source", None)  # the author of the file must not choose paths that are read
        config, result = Config.from_json(content), Result.from_json(facts["result"])
        _ = config.recipe
    except (AttributeError, TypeError) as error:
        raise RunError(f"{path} does not describe a net ({reason(error)}): export or download it again") from error
    except RunError as error:
        raise RunError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    return config, result, weights


def _without_folder(origin: dict[str, str] | None) -> dict[str, str] | None:
    """Return a copy of a value of ``Config.started_from`` with only the name of the run folder, not its path."""
    return origin and {**origin, "run": PurePath(origin["run"]).name}
