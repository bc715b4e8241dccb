"""Export of a trained net, with all its tests, to ONNX, for programs without twofold or PyTorch."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from twofold import machine
from twofold.data.preparation import Preparation
from twofold.errors import RunError, SettingError
from twofold.files import replacing
from twofold.layers.black_box import BlackBox
from twofold.layers.boxes import Box
from twofold.machine.extras import needed
from twofold.nets.net import Net
from twofold.substrate.weights import AnalogWeights

BATCHES = (1, 3, 257)
"""Sizes of the batches with which an ONNX file is verified."""

TOLERANCE = 1e-4
"""Tolerance, absolute and relative, for differences between the outputs of onnxruntime and of PyTorch."""

LARGEST = 2**31 - 2**20
"""Maximum size of the weights in bytes: the limit of ONNX files minus a margin for their other contents."""

BESIDE = ("label", "probability", "goodness")
"""Names of the outputs that are not scores of a test."""

CHATTY = ("torch.onnx", "onnxscript")
"""Loggers that are silenced during an export. They report missing optional packages and skipped optimizations."""


def write(net: Net, path: Path, preparation: Preparation, settings: Mapping[str, Any] | None = None) -> None:
    """Write an ONNX file that computes all tests of a net in single precision, for batches of any size.

    The input is ``images``, ``(batch, channels, height, width)`` with pixels from 0 to 1, or ``table``, ``(batch,
    columns)``, raw columns in double precision. A text in a table is encoded as the zero-based index of its value in
    the ``categories`` of the preparation. Any other number means that the value is unknown. The outputs:

    - ``label``: label predicted by the main test, ``(batch,)``;
    - ``probability``: probability of each label in the main test, ``(batch, classes)``;
    - the scores of each test, under its name, as from ``net.scores``, ``(batch, classes)``: logits for tests with a
      softmax, summed goodness for the slow test, -∞ for labels that are not on the shortlist;
    - ``goodness``: goodness of each label and layer, ``(batch, classes, layers)``, if the net computes goodness per
      label.

    The ``metadata_props`` of the file contain, as JSON, the names of the classes, the tests (the main test first), the
    preparation and the settings. The outputs are verified with onnxruntime before the file is saved.

    Args:
        net: The net; it is not modified.
        path: Path of the file to write.
        preparation: Preprocessing of raw data. It is part of the file for tables; images are not preprocessed.
        settings: Training settings for the metadata.

    Raises:
        SettingError: A package is not installed, or the net cannot be exported.
        RunError: The outputs of onnxruntime differ from those of PyTorch, or the file cannot be written.
    """
    _refuse_hardware(net)
    for package in ("onnx", "onnxscript", "onnxruntime"):
        needed(package, "export", "an export to ONNX")
    size = sum(tensor.numel() * 4 for tensor in net.state_dict().values())
    if size > LARGEST:
        raise SettingError(
            f"the net has {size / 1e9:.1f} GB of weights, but ONNX files are limited to 2 GB: export it to safetensors"
        )
    net = copy.deepcopy(net).cpu().float().eval()
    net.set_precision("fp32")
    net.evaluate(cases(preparation, raw(preparation, 2)), torch.zeros(2, dtype=torch.int64))  # sets input sizes
    program = _Program(net, preparation).eval()
    facts = {
        "twofold": machine.installed() or "not installed",
        "names": json.dumps(preparation.names),
        "tests": json.dumps(program.tests),
        "preparation": json.dumps(preparation.to_json()),
        "settings": json.dumps(settings or {}),
    }
    with replacing(path) as temporary:
        exported = _exported(program)
        exported.model.metadata_props.update(facts)
        exported.save(temporary)
        check(temporary, net, preparation)


def _refuse_hardware(net: Net) -> None:
    """Raise an error if the net contains real or simulated hardware."""
    analog = any(isinstance(weights, AnalogWeights) for layer in net.stack for weights in layer.learnables())
    boxes = [module for module in net.modules() if isinstance(module, BlackBox | Box)]
    if analog or boxes:
        hardware = "weights on analog devices" if analog else "a black box between its layers"
        raise SettingError(
            f"the net has {hardware}, which cannot be exported to ONNX: export a net that is trained without "
            f"({'--substrate ideal' if analog else '--box none'})"
        )


class _Program(nn.Module):
    """Module that maps raw data to all outputs of the ONNX file.

    Attributes:
        input: Name of the input, ``images`` or ``table``.
        raw: Example batch of raw data.
        outputs: Names of the outputs.
        tests: Names of the tests, the main test first.
    """

    mean: Tensor
    scale: Tensor
    medians: Tensor

    def __init__(self, net: Net, preparation: Preparation) -> None:
        super().__init__()
        self.net: Any = net
        self.preparation = preparation
        for name in (
            "mean",
            "scale",
            "medians",
        ):  # as tensors, since Python numbers become single precision in the file
            values = torch.tensor(getattr(preparation, name), dtype=torch.float64)
            self.register_buffer(name, values, persistent=False)
        self.input = "table" if preparation.kind == "table" else "images"
        self.raw = raw(preparation, 2)
        with torch.no_grad():
            answers = self._answers(self.raw)
        self.outputs = list(answers)
        self.tests = [name for name in answers if name not in BESIDE]

    def forward(self, data: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._answers(data).values())

    def _answers(self, data: Tensor) -> dict[str, Tensor]:
        answers = self.net._traced(self._cases(data))
        label = next(iter(answers.values())).argmax(1)
        return {"label": label, "probability": self.net.probabilities(answers), **answers}

    def _cases(self, data: Tensor) -> Tensor:
        """Convert raw data to inputs of the net."""
        if self.preparation.kind != "table":
            return data
        preparation, features = self.preparation, []
        for index, name in enumerate(preparation.columns):
            column = data[:, index : index + 1]
            if name in preparation.categories:
                features.append((column == torch.arange(len(preparation.categories[name]))).to(torch.float32))
                continue
            absent = column.isnan()
            if preparation.medians:
                column = torch.where(absent, self.medians[index], column)
            features.append(((column - self.mean[index]) / self.scale[index]).to(torch.float32))
            if name in preparation.indicators:
                features.append(absent.to(torch.float32))
        return torch.cat(features, 1)[:, None, None, :]


def raw(preparation: Preparation, count: int, seed: int = 0) -> Tensor:
    """Return random raw data for ``count`` cases, in the format of the input of the ONNX file."""
    generator = torch.Generator().manual_seed(seed)
    if preparation.kind != "table":
        return torch.rand(count, *preparation.shape, generator=generator)
    columns = []
    for name, mean, scale in zip(preparation.columns, preparation.mean, preparation.scale, strict=True):
        if values := preparation.categories.get(name):
            columns.append(torch.randint(len(values), (count,), generator=generator).double())
        else:
            column = mean + scale * torch.randn(count, generator=generator, dtype=torch.float64)
            columns.append(
                torch.where(torch.arange(count) % 4 == 1, torch.nan, column) if preparation.medians else column
            )
    return torch.stack(columns, 1)


def cases(preparation: Preparation, data: Tensor) -> Tensor:
    """Convert raw data to inputs of the net with `Preparation.table`, as a reference for the ONNX file."""
    if preparation.kind != "table":
        return data
    columns: dict[str, Any] = {}
    for name, column in zip(preparation.columns, data.T, strict=True):
        values = preparation.categories.get(name)
        columns[name] = [values[int(number)] for number in column] if values else column.numpy()
    return preparation.table(columns)


def _exported(program: _Program) -> Any:
    """Return the ONNX program for the module ``program``."""
    with torch.no_grad(), _quiet():
        try:
            return torch.onnx.export(
                program,
                (program.raw,),
                dynamo=True,
                verbose=False,
                input_names=[program.input],
                output_names=program.outputs,
                dynamic_shapes={"data": {0: torch.export.Dim("batch")}},
            )
        except torch.onnx.errors.OnnxExporterError as error:
            lines = str(error.__cause__ or error).strip().splitlines()
            raise SettingError(
                f"the net cannot be exported to ONNX ({lines[0] if lines else type(error).__name__}): export it to "
                "safetensors"
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress messages of the exporter that do not concern the net."""
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in CHATTY}
    try:
        for logger in levels:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def check(path: Path, net: Net, preparation: Preparation) -> None:
    """Verify that an ONNX file computes the same outputs as ``net``, for batches of several sizes.

    Raises:
        RunError: An output differs by more than `TOLERANCE`.
    """
    runtime = needed("onnxruntime", "export", "an export to ONNX")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (source,), names = session.get_inputs(), [output.name for output in session.get_outputs()]
    for count in BATCHES:
        data = raw(preparation, count, seed=count)
        outputs = dict(zip(names, session.run(None, {source.name: data.numpy()}), strict=True))
        expected = answers(net, cases(preparation, data))
        main = expected[next(name for name in expected if name not in BESIDE)]
        for name, wanted in expected.items():
            output = torch.from_numpy(outputs[name])
            if name == "label":  # compare scores, since labels with equal scores may be exchanged
                output, wanted = (main.take_along_dim(label[:, None], 1) for label in (output, wanted))  # noqa: PLW2901
            looser = conditioned(expected["slow"], expected["fast"]) if name == "both" else None
            if not same(output, wanted, expected.get("fast", main), looser):
                raise RunError(
                    f"onnxruntime and PyTorch differ in the output {name!r} for {count} cases, no file was written: "
                    "update onnx, onnxscript and onnxruntime together, or export to safetensors"
                )


def answers(net: Any, images: Tensor) -> dict[str, Tensor]:
    """Return name -> output that the ONNX file should have for a batch, as computed by PyTorch."""
    scores = net.scores(images)
    goodness = net.evaluate(images, torch.zeros(len(images), dtype=torch.int64)).goodness
    label = next(iter(scores.values())).argmax(1)
    outputs = {"label": label, "probability": net.probabilities(scores), **scores}
    return outputs if goodness is None else {**outputs, "goodness": goodness}


def conditioned(*scores: Tensor) -> Tensor:
    """Return the factor by which standardizing scores ``(batch, classes)`` amplifies rounding errors, ``(batch, 1)``.

    The factor is the largest absolute score divided by the range of the scores. If the scores of several tests are
    given, the largest of the factors is returned.
    """
    factors = [(1 + test.abs().amax(1)) / (test.amax(1) - test.amin(1)).clamp(min=1e-12) for test in scores]
    return torch.stack(factors, 1).amax(1, keepdim=True).clamp(min=1)


def same(actual: Tensor, wanted: Tensor, fast: Tensor, looser: Tensor | None = None) -> bool:
    """Return True if outputs ``(batch, ...)`` are equal up to rounding.

    Shortlists (labels with finite scores) may differ in labels whose fast scores are equal up to rounding.

    Args:
        actual: Outputs to verify.
        wanted: Expected outputs.
        fast: Scores of the fast test, ``(batch, classes)``.
        looser: Factors by which the tolerance is multiplied, ``(batch, 1)``; by default 1.
    """
    listed, expected = (scores.flatten(1) > -torch.inf for scores in (actual, wanted))  # NaN is on no list
    far = (actual - wanted).abs() > TOLERANCE * (1 + wanted.abs()) * (1.0 if looser is None else looser)
    if not listed.sum(1).equal(expected.sum(1)) or (far.flatten(1) & listed & expected).any():
        return False
    either = listed != expected
    if not either.any():
        return True
    best, worst = (fast.where(either, end) for end in (-torch.inf, torch.inf))
    return bool((best.amax(1) - worst.amin(1) <= TOLERANCE * (1 + fast.abs().amax(1))).all())
