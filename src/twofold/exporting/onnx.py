"""A trained net as an ONNX file, with all its tests, for programs that know neither twofold nor PyTorch."""

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
from twofold.checks import looked_at
from twofold.data.preparation import Preparation
from twofold.errors import RunError, SettingError
from twofold.files import replacing
from twofold.layers.black_box import BlackBox
from twofold.layers.boxes import Box
from twofold.machine.extras import needed
from twofold.nets.net import Net
from twofold.substrate.weights import AnalogWeights

BATCHES = (1, 3, 257)
"""Sizes of the batches with which a file is tried."""

TOLERANCE = 1e-4
"""How far an answer may be from PyTorch's, absolute, and relative to its size."""

LARGEST = 2**31 - 2**20
"""Bytes of weights that fit into one file, with a little left for the rest of it."""

BESIDE = ("label", "probability", "goodness")
"""The outputs that are no scores of a test."""

CHATTY = ("torch.onnx", "onnxscript")
"""Loggers that name packages which are not needed, and what was not made faster."""


def write(net: Net, path: Path, preparation: Preparation, settings: Mapping[str, Any] | None = None) -> None:
    """Write an ONNX file that gives, for a batch of any size, the answers of all tests in single precision.

    Its input are ``images``, pixels from 0 to 1, ``(batch, channels, height, width)``, or ``table``, raw columns in
    double precision, ``(batch, columns)``, where a text is the number, from 0, of its value in ``categories`` of the
    preparation, and any other number none of them. The outputs:

    - ``label``: the label that the main test names, ``(batch,)``;
    - ``probability``: of each label, the softmax of the fast test, ``(batch, classes)``;
    - one for each test by its name, what ``net.scores`` gives, ``(batch, classes)``: logits of tests that a softmax
      reads, summed goodness of the slow one, -∞ for labels that are not on the shortlist;
    - ``goodness``, where labels have one: of each label and layer, ``(batch, classes, layers)``.

    Beside them, as JSON in ``metadata_props``: the names of the classes, the tests with the main one first, the
    preparation and the settings. The file is tried with onnxruntime before it gets its name.

    Args:
        net: the net; it stays as it is.
        path: of the file.
        preparation: what is done to raw data; for pictures that is nothing.
        settings: of its training.

    Raises:
        SettingError: a package is not here, or the net cannot be written so.
        RunError: onnxruntime gives other answers, or the file cannot be written.
    """
    _refuse_hardware(net)
    for package in ("onnx", "onnxscript", "onnxruntime"):
        needed(package, "export", "an export to ONNX")
    size = sum(tensor.numel() * 4 for tensor in net.state_dict().values())
    if size > LARGEST:
        raise SettingError(
            f"the net has {size / 1e9:.1f} GB of weights, and an ONNX file holds 2 GB: export it to safetensors"
        )
    net = copy.deepcopy(net).cpu().float().eval()
    net.set_precision("fp32")
    net.evaluate(cases(preparation, raw(preparation, 2)), torch.zeros(2, dtype=torch.int64))  # it knows its input
    whole = _Whole(net, preparation).eval()
    facts = {
        "twofold": machine.installed() or "not installed",
        "names": json.dumps(preparation.names),
        "tests": json.dumps(whole.tests),
        "preparation": json.dumps(preparation.to_json()),
        "settings": json.dumps(settings or {}),
    }
    with replacing(path) as temporary:
        program = _exported(whole)
        program.model.metadata_props.update(facts)
        program.save(temporary)
        check(temporary, net, preparation)


def _refuse_hardware(net: Net) -> None:
    """Refuse nets a part of which is hardware, or a simulation of it."""
    analog = any(isinstance(each, AnalogWeights) for layer in net.stack for each in layer.learnables())
    boxes = [part for part in net.modules() if isinstance(part, BlackBox | Box)]
    if analog or boxes:
        found = "weights on analog devices" if analog else "a black box between its layers"
        raise SettingError(
            f"the net has {found}, which no file of formulas can be: keep the run, or export a net that is trained "
            f"without ({'--substrate ideal' if analog else '--box none'})"
        )


class _Whole(nn.Module):
    """Raw data -> all answers, side by side.

    Attributes:
        given: the name of the input.
        raw: a batch of it, which only says its form.
        outputs: the names of the answers.
        tests: the names of the tests, the main one first.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, net: Net, preparation: Preparation) -> None:
        super().__init__()
        self.net = net
        self.preparation = preparation
        for name in ("mean", "scale"):  # as tensors: a number of Python's becomes one of single precision in the file
            values = torch.tensor(getattr(preparation, name), dtype=torch.float64)
            self.register_buffer(name, values, persistent=False)
        self.given = "table" if preparation.kind == "table" else "images"
        self.raw = raw(preparation, 2)
        with torch.no_grad():
            found = self._answers(self.raw)
        self.outputs = list(found)
        self.tests = [name for name in found if name not in BESIDE]

    def forward(self, given: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._answers(given).values())

    def _answers(self, given: Tensor) -> dict[str, Tensor]:
        with looked_at():
            found = self.net._traced(self._cases(given))
        label = next(iter(found.values())).argmax(1)
        return {"label": label, "probability": found["fast"].softmax(1), **found}

    def _cases(self, given: Tensor) -> Tensor:
        """Cases as the net takes them, from raw data."""
        if self.preparation.kind != "table":
            return given
        preparation, parts = self.preparation, []
        for index, name in enumerate(preparation.columns):
            column = given[:, index : index + 1]
            if name in preparation.categories:
                parts.append((column == torch.arange(len(preparation.categories[name]))).to(torch.float32))
            else:
                parts.append(((column - self.mean[index]) / self.scale[index]).to(torch.float32))
        return torch.cat(parts, 1)[:, None, None, :]


def raw(preparation: Preparation, count: int, seed: int = 0) -> Tensor:
    """Raw data of so many cases that are drawn, as the file takes them."""
    generator = torch.Generator().manual_seed(seed)
    if preparation.kind != "table":
        return torch.rand(count, *preparation.shape, generator=generator)
    columns = []
    for name, mean, scale in zip(preparation.columns, preparation.mean, preparation.scale, strict=True):
        if values := preparation.categories.get(name):
            columns.append(torch.randint(len(values), (count,), generator=generator).double())
        else:
            columns.append(mean + scale * torch.randn(count, generator=generator, dtype=torch.float64))
    return torch.stack(columns, 1)


def cases(preparation: Preparation, given: Tensor) -> Tensor:
    """The cases of raw data as the preparation itself makes them."""
    if preparation.kind != "table":
        return given
    columns: dict[str, Any] = {}
    for name, column in zip(preparation.columns, given.T, strict=True):
        values = preparation.categories.get(name)
        columns[name] = [values[int(number)] for number in column] if values else column.numpy()
    return preparation.table(columns)


def _exported(whole: _Whole) -> Any:
    """The program of a net."""
    with torch.no_grad(), _quiet():
        try:
            return torch.onnx.export(
                whole,
                (whole.raw,),
                dynamo=True,
                verbose=False,
                input_names=[whole.given],
                output_names=whole.outputs,
                dynamic_shapes={"given": {0: torch.export.Dim("batch")}},
            )
        except torch.onnx.errors.OnnxExporterError as error:
            why = str(error.__cause__ or error).strip().splitlines()
            raise SettingError(
                f"the net has a part that ONNX cannot hold ({why[0] if why else type(error).__name__}): export it to "
                "safetensors"
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says about itself."""
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
    """Make sure that a file gives the answers of its net, for batches of several sizes.

    Raises:
        RunError: it does not.
    """
    runtime = needed("onnxruntime", "export", "an export to ONNX")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,), outputs = session.get_inputs(), [each.name for each in session.get_outputs()]
    for count in BATCHES:
        data = raw(preparation, count, seed=count)
        found = dict(zip(outputs, session.run(None, {given.name: data.numpy()}), strict=True))
        wanted = answers(net, cases(preparation, data))
        main = wanted[next(name for name in wanted if name not in BESIDE)]
        for name, answer in wanted.items():
            got = torch.from_numpy(found[name])
            if name == "label":  # where two are alike up to rounding, either may be named
                got, answer = (main.take_along_dim(label[:, None], 1) for label in (got, answer))  # noqa: PLW2901
            looser = conditioned(wanted["slow"], wanted["fast"]) if name == "both" else None
            if not same(got, answer, wanted["fast"], looser):
                raise RunError(
                    f"onnxruntime gives other answers than PyTorch for the output {name!r} of {count} cases: nothing "
                    "is written; update onnx, onnxscript and onnxruntime together, or export to safetensors"
                )


def answers(net: Any, images: Tensor) -> dict[str, Tensor]:
    """What the net itself answers, by the names of the outputs."""
    scores = net.scores(images)
    goodness = net.evaluate(images, torch.zeros(len(images), dtype=torch.int64)).goodness
    label = next(iter(scores.values())).argmax(1)
    whole = {"label": label, "probability": scores["fast"].softmax(1), **scores}
    return whole if goodness is None else {**whole, "goodness": goodness}


def conditioned(*scores: Tensor) -> Tensor:
    """By how much rounding grows where scores ``(batch, classes)`` are standardized, ``(batch, 1)``: the size of the
    largest beside their spread, for the test in which that is most."""
    each = [(1 + one.abs().amax(1)) / (one.amax(1) - one.amin(1)).clamp(min=1e-12) for one in scores]
    return torch.stack(each, 1).amax(1, keepdim=True).clamp(min=1)


def same(found: Tensor, wanted: Tensor, fast: Tensor, looser: Tensor | None = None) -> bool:
    """Whether answers ``(batch, ...)`` are the same but for rounding, which may be ``looser`` times as large.

    Which labels are on a shortlist may differ where the fast test, ``(batch, classes)``, finds them alike.
    """
    listed, expected = (each.flatten(1) > -torch.inf for each in (found, wanted))  # NaN is on no list
    far = (found - wanted).abs() > TOLERANCE * (1 + wanted.abs()) * (1.0 if looser is None else looser)
    if not listed.sum(1).equal(expected.sum(1)) or (far.flatten(1) & listed & expected).any():
        return False
    either = listed != expected
    if not either.any():
        return True
    best, worst = (fast.where(either, end) for end in (-torch.inf, torch.inf))
    return bool((best.amax(1) - worst.amin(1) <= TOLERANCE * (1 + fast.abs().amax(1))).all())
