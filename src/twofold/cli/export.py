"""The commands with which trained nets leave this machine, and come back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from twofold.cli.arguments import RunPath, parse
from twofold.errors import SettingError
from twofold.exporting.card import LICENSE

Repository = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="REPO")]
"""A repository of the hub, given as a positional argument."""


@dataclass(frozen=True)
class Export:
    """Write the net of a run as a file of its own.

    Attributes:
        run: the run folder, or the one file of a run.
        to: onnx (all tests, for other programs), safetensors (one file that twofold.load reads) or card (a model card).
        out: the file; by default model.onnx, model.safetensors or README.md in the run folder, and beside one file what
            that is called, with another ending. What is there already is only replaced where you name it.
        json: end with one JSON object on the last line.
    """

    run: RunPath
    to: Literal["onnx", "safetensors", "card"]
    out: Path | None = None
    json: bool = False


@dataclass(frozen=True)
class Push:
    """Put the net of a run on the Hugging Face hub: one file, a model card and, if asked for, the ONNX file.

    HF_ENDPOINT says where the hub is; `hf auth login` or HF_TOKEN says who you are.

    Attributes:
        run: the run folder.
        repo: NAME or OWNER/NAME; made where it is not there.
        onnx: put the ONNX file beside it.
        license: of the net, by the hub's identifier, as apache-2.0.
        private: a new repository is for you alone.
        json: end with one JSON object on the last line.
    """

    run: RunPath
    repo: Repository
    onnx: bool = False
    license: str = LICENSE
    private: bool = False
    json: bool = False


@dataclass(frozen=True)
class Pull:
    """Fetch a net from the Hugging Face hub as one file, which RUN may be in all commands.

    Attributes:
        repo: OWNER/NAME.
        out: the new file; by default NAME.safetensors.
        revision: a commit by its SHA, a branch or a tag; by default the newest.
        digest: SHA-256 that the file must have.
        json: end with one JSON object on the last line.
    """

    repo: Repository
    out: Path | None = None
    revision: str | None = None
    digest: str | None = None
    json: bool = False


def export(words: Sequence[str]) -> None:
    """Write the net of a run as a file of its own."""
    from twofold import exporting

    options = parse(Export, words, "export")
    name = Path(exporting.KINDS[options.to])
    usual = options.run.with_suffix(name.suffix) if options.run.is_file() else options.run / name
    path = options.out or usual
    if path.suffix != name.suffix:
        raise SettingError(f"--out is {path}, expected a name in {name.suffix} for --to {options.to}")
    if options.out is None and path != options.run and path.exists():
        raise SettingError(f"{path} exists: state it with --out to have it replaced, or another name")
    _answer({"file": str(exporting.export(options.run, path))}, options.json)


def push(words: Sequence[str]) -> None:
    """Put the net of a run on the hub."""
    from twofold.exporting import hub

    options = parse(Push, words, "push")
    done = hub.push(options.run, options.repo, onnx=options.onnx, license=options.license, private=options.private)
    _answer(dataclasses.asdict(done), options.json)


def pull(words: Sequence[str]) -> None:
    """Fetch a net from the hub."""
    from twofold.exporting import hub

    options = parse(Pull, words, "pull")
    found = hub.pull(options.repo, options.out, revision=options.revision, digest=options.digest)
    _answer({**dataclasses.asdict(found), "path": str(found.path)}, options.json)


def _answer(facts: dict[str, Any], as_json: bool) -> None:
    print("\n".join(f"{name:10} {value}" for name, value in facts.items()))
    if as_json:
        print(json.dumps(facts))
