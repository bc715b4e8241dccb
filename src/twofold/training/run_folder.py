"""A run folder: what lies in it, and that nothing in it is damaged, overwritten or taken for something else.

config.json              recipe, settings, data, device, precision, machine
metrics.jsonl            one line an epoch
checkpoint.safetensors   everything needed to go on, after each epoch; gone when the run is complete
weights.safetensors      the trained net (its ``state_dict``)
result.json              what was measured
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from twofold import checkpoint
from twofold.errors import RunError
from twofold.files import read_json, write_bytes, write_json
from twofold.methods.method import Method

CONFIG = ("name", "method", "settings", "fingerprint", "device", "precision", "dataset", "shape", "classes")
"""What every config.json holds; the first six say which training it is."""


@dataclass(frozen=True)
class Result:
    """What a training measured. Errors are shares of the images, times are in seconds.

    Attributes:
        recipe: its name.
        method: forward-forward or backprop.
        settings: every field of the recipe.
        test_error: test -> error on the test set; empty where a validation set was held out.
        validation_error: the same on held-out training images; empty where none were held out.
        layer_error: the error of each layer's goodness alone.
        passes_per_image: test -> forward passes for one image.
        train_error: of the softmax, on the training images of the last epoch as it saw them.
        epochs: number of epochs.
        seconds: of the whole training, without tests.
        seconds_per_epoch: the mean.
        parameters: number of weights and biases.
        dataset: name of the data set.
        official_data: whether its bytes are the official ones.
        fingerprint: sha256 of the data.
        seed: of everything random.
        device: cpu or cuda.
        precision: of the products.
        environment: versions, commit, machine.
        run: the folder.
    """

    recipe: str
    method: str
    settings: dict[str, Any]
    test_error: dict[str, float]
    validation_error: dict[str, float]
    layer_error: list[float]
    passes_per_image: dict[str, int]
    train_error: float
    epochs: int
    seconds: float
    seconds_per_epoch: float
    parameters: int
    dataset: str
    official_data: bool
    fingerprint: str
    seed: int
    device: str
    precision: str
    environment: dict[str, Any]
    run: str


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

    def save(self, method: Method, history: list[dict[str, Any]]) -> None:
        """Write a checkpoint. It holds the history of metrics too, so that the two can never disagree."""
        tensors = {**_resumable(method), "generator": method.generator.get_state()}
        checkpoint.write(self.checkpoint, tensors, {"history": history, "batches_seen": method.batches_seen})
        self._write_metrics(history)

    def restore(self, method: Method) -> list[dict[str, Any]]:
        """Bring a method back to the last checkpoint, where there is one; returns the history up to it.

        Raises:
            RunError: the checkpoint is damaged, or belongs to another architecture.
        """
        if not self.checkpoint.exists():
            return []
        tensors, facts = checkpoint.read(self.checkpoint)
        if not {"history", "batches_seen"} <= facts.keys() or "generator" not in tensors:
            raise RunError(f"{self.checkpoint} is no checkpoint: delete it and train again")
        generator = tensors.pop("generator")
        checkpoint.fill(_resumable(method), tensors, self.checkpoint)
        method.generator.set_state(generator)
        method.batches_seen = facts["batches_seen"]
        history: list[dict[str, Any]] = facts["history"]
        self._write_metrics(history)
        return history

    def finish(self, result: Result, weights: dict[str, Tensor]) -> None:
        """Write the net and what was measured; from now on the run is complete."""
        checkpoint.write(self.weights, weights, {"name": result.recipe})
        write_json(self.path / "result.json", asdict(result))
        self.checkpoint.unlink(missing_ok=True)

    def _write_metrics(self, history: list[dict[str, Any]]) -> None:
        write_bytes(self.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in history).encode())

    def _expect(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Raise unless the folder's training is the one that is asked for."""
        flat_found, flat_wanted = ({**facts, **facts["settings"]} for facts in (found, wanted))
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

    def result(self) -> Result:
        """What was measured.

        Raises:
            RunError: the run is not complete, or its result is damaged.
        """
        if not self.complete:
            name = self.config()["name"]
            raise RunError(f"{self.path} is not complete: go on with `twofold train {name} --run {self.path} --resume`")
        path = self.path / "result.json"
        try:
            return Result(**read_json(path))
        except TypeError as error:
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


def _resumable(method: Method) -> dict[str, Tensor]:
    return {**method.tensors(), "mistaken": method.mistaken, "need": method.need}
