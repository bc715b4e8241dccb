"""One file that holds a trained net and all that is needed to use it: its weights in the format of safetensors, and in
the header the settings, what was done to the data, the names of the classes, and what was measured.
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


def write(home: RunFolder, path: Path) -> None:
    """Write a complete run into one file, whole or not at all.

    Where its folder and its data lie on this machine is left out: the file is for others.

    Raises:
        RunError: the run is not complete, a file in it is damaged, or the new one cannot be written.
    """
    config, result = home.config(), home.result()
    weights, _ = checkpoint.read(home.weights, signed=config.format > 1)
    started_from = _named(config.started_from)
    config = replace(config, source=None, started_from=started_from, format=FORMAT)
    result = replace(result, run=home.path.absolute().name, started_from=started_from)
    checkpoint.write(path, weights, {"config": config.to_json(), "result": result.to_json()})


def read(path: Path) -> tuple[Config, Result, dict[str, Tensor]]:
    """Read such a file.

    Raises:
        RunError: it is damaged, of a newer version, or another file.
    """
    weights, facts = checkpoint.read(path, signed=True, remedy="write or get it again, if `twofold export` made it")
    if not {"config", "result"} <= facts.keys():
        raise RunError(
            f"{path} has weights, but not the settings of their net: give the run folder, or a file that `twofold "
            "export` made"
        )
    try:
        content: dict[str, Any] = facts["config"]
        content.pop("source", None)  # whoever wrote it has no say in what is read here
        if isinstance(content.get("format"), int) and content["format"] > FORMAT:
            raise RunError(f"{path} was written by a newer version of twofold: update twofold")
        config, result = Config.from_json(content), Result.from_json(facts["result"])
        _ = config.recipe
    except (AttributeError, TypeError) as error:
        raise RunError(f"{path} does not describe a net ({reason(error)}): write or get it again") from error
    except RunError as error:
        raise RunError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    return config, result, weights


def _named(origin: dict[str, str] | None) -> dict[str, str] | None:
    """The run that a training started from, by its name alone."""
    return origin and {**origin, "run": PurePath(origin["run"]).name}
