"""A run folder: what lies in it, and that nothing in it is damaged, overwritten or taken for something else.

config.json              recipe, settings, data, device, precision, machine
metrics.jsonl            one line an epoch
checkpoint.safetensors   everything needed to go on, after each epoch; gone when the run is complete
weights.safetensors      the trained net (its ``state_dict``)
result.json              what was measured
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from twofold import checkpoint
from twofold.errors import RunError
from twofold.files import read_json, write_bytes, write_json
from twofold.training.result import Result
from twofold.training.trainer import Trainer

CONFIG = ("name", "method", "settings", "fingerprint", "device", "precision", "dataset", "environment")
"""Keys of every config.json; the first six say which training it is. All other keys are the form of the data that the
net was built for, such as ``shape`` and ``classes``."""

REMOVED = {"neutral_share": 1.0}
"""Fields that recipes of older runs have, and the value at which they changed nothing."""


def without_removed(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings of a run folder, apart from those that recipes no longer have.

    Raises:
        RunError: one of these was not at the value that changes nothing.
    """
    for name, neutral in REMOVED.items():
        if settings.get(name, neutral) != neutral:
            raise RunError(
                f"{folder}/config.json has {name} = {settings[name]}, which this version of twofold no longer has: "
                "use the run with the version that trained it"
            )
    return {name: value for name, value in settings.items() if name not in REMOVED}


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Attributes:
        path: where it lies.
    """

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The file to resume from."""
        return self.path / "checkpoint.safetensors"

    @property
    def weights(self) -> Path:
        """The trained net."""
        return self.path / "weights.safetensors"

    @property
    def complete(self) -> bool:
        """Whether the training has come to its end."""
        return (self.path / "result.json").exists()

    # ---- writing -----------------------------------------------------------------------------------------------

    def open(self, identity: dict[str, Any], resume: bool) -> None:
        """Make sure that the folder is free for a new training or, to resume, holds this very one.

        Args:
            identity: what makes a training this one: the first six entries of a config.
            resume: whether to go on with what the folder holds.

        Raises:
            RunError: it holds something else.
        """
        used = self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir()))
        if used and not resume:
            raise RunError(
                f"{self.path} exists and is not empty: add --resume to go on with it, or choose another --run"
            )
        if used and not (self.path / "config.json").exists():
            raise RunError(f"{self.path} is not empty and no run folder: choose another --run")
        if used:
            self._expect(self.config(), identity)

    def begin(self, config: dict[str, Any]) -> None:
        """Write the settings of a new training."""
        write_json(self.path / "config.json", config)

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint. It holds the history of metrics too, so that the two can never disagree."""
        method = trainer.method
        tensors = {**method.tensors(), "generator": method.generator.get_state()}
        checkpoint.write(self.checkpoint, tensors, {"history": trainer.history, "batches_seen": method.batches_seen})
        self._write_metrics(trainer.history)

    def restore(self, trainer: Trainer) -> bool:
        """Bring a training back to the last checkpoint; whether there is one.

        Raises:
            RunError: the checkpoint is damaged, or belongs to another architecture.
        """
        if not self.checkpoint.exists():
            return False
        tensors, facts = checkpoint.read(self.checkpoint)
        if not {"history", "batches_seen"} <= facts.keys() or "generator" not in tensors:
            raise RunError(f"{self.checkpoint} is no checkpoint: delete it and train again")
        generator, method = tensors.pop("generator"), trainer.method
        tensors = {_current_name(name): tensor for name, tensor in tensors.items()}
        checkpoint.fill(method.tensors(), tensors, self.checkpoint)
        method.generator.set_state(generator)
        method.batches_seen = facts["batches_seen"]
        trainer.history = facts["history"]
        self._write_metrics(trainer.history)
        return True

    def finish(self, result: Result, weights: dict[str, Tensor]) -> None:
        """Write the net and what was measured; from now on the run is complete."""
        checkpoint.write(self.weights, weights, {"name": result.recipe})
        write_json(self.path / "result.json", result.to_json())
        self.checkpoint.unlink(missing_ok=True)

    def _write_metrics(self, history: list[dict[str, Any]]) -> None:
        write_bytes(self.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in history).encode())

    def _expect(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Raise unless the folder's training is the one that is asked for."""
        flat_found = {**found, **without_removed(found["settings"], self.path)}
        flat_wanted = {**wanted, **wanted["settings"]}
        for key, value in flat_wanted.items():
            if key != "settings" and flat_found.get(key) != value:
                raise RunError(
                    f"{self.path} holds a training with {key} = {flat_found.get(key)}, asked for is {value}: "
                    "resume with the settings it was started with, or choose another --run"
                )

    # ---- reading -----------------------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The settings.

        Raises:
            RunError: there is no config.json, which means no run folder, or it is damaged.
        """
        path = self.path / "config.json"
        if not path.exists():
            raise RunError(f"{self.path} is no run folder (it has no config.json): give one made by `twofold train`")
        config = read_json(path)
        if not isinstance(config, dict) or not set(CONFIG) <= config.keys():
            raise RunError(f"{path} does not describe a run: it is damaged; train again")
        return config

    def form(self) -> dict[str, Any]:
        """The form of the data that the net was built for, such as ``shape`` and ``classes``."""
        return {name: value for name, value in self.config().items() if name not in CONFIG}

    def result(self) -> Result:
        """Read the result.

        Raises:
            RunError: the run is not complete, or its result is damaged.
        """
        if not self.complete:
            name = self.config()["name"]
            raise RunError(f"{self.path} is not complete: go on with `twofold train {name} --run {self.path} --resume`")
        path = self.path / "result.json"
        try:
            return Result.from_json(read_json(path))
        except (AttributeError, TypeError) as error:
            raise RunError(f"{path} is no result of a run: it is damaged; train again") from error

    def history(self) -> list[dict[str, Any]]:
        """The metrics of each epoch.

        Raises:
            RunError: they are missing or damaged.
        """
        path = self.path / "metrics.jsonl"
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is missing or damaged: train again") from error


def _current_name(name: str) -> str:
    """The name of a tensor of a checkpoint, which an older version may have called otherwise."""
    name = re.sub(r"^velocity\.(layers\.\d+\.(?:weight|bias))$", r"\1_velocity", name)
    return re.sub(r"^(layers\.\d+)\.((?:below|above|beside|label)_velocity)$", r"\1.weights.\2", name)
