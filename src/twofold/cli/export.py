"""Commands that export trained nets, and upload and download them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from twofold.cli.arguments import Maybe, RunPath, parse
from twofold.errors import SettingError
from twofold.exporting.card import LICENSE

Repository = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="REPO")]
"""Type of the positional argument REPO, which is a repository on the Hub."""


@dataclass(frozen=True)
class Export:
    """Export the net of a run to a single file.

    Attributes:
        run: run folder, or a file written by twofold export or pull.
        to: file format: onnx (with all tests, for other programs), safetensors (for twofold.load and as RUN of other
            commands) or card (a model card in Markdown).
        out: file to write; by default model.onnx, model.safetensors or README.md in the run folder. If RUN is a file,
            the default is its name with another suffix. An existing file is replaced only if --out names it.
        json: print the result as one JSON object in the last line of the output.
    """

    run: RunPath
    to: Literal["onnx", "safetensors", "card"]
    out: Maybe[Path] = None
    json: bool = False


@dataclass(frozen=True)
class Push:
    """Upload the net of a run to the Hugging Face Hub, with a model card and optionally the ONNX file.

    Log in with `hf auth login` or set HF_TOKEN. Set HF_ENDPOINT to use another Hub.

    Attributes:
        run: run folder.
        repo: repository on the Hub, NAME or OWNER/NAME; created if it does not exist.
        onnx: also upload the net as an ONNX file.
        license: license of the net, as a license identifier of the Hub, such as apache-2.0.
        private: if the repository is created, make it private.
        json: print the result as one JSON object in the last line of the output.
    """

    run: RunPath
    repo: Repository
    onnx: bool = False
    license: str = LICENSE
    private: bool = False
    json: bool = False


@dataclass(frozen=True)
class Pull:
    """Download a net from the Hugging Face Hub to a file, which other commands accept as RUN.

    Attributes:
        repo: repository on the Hub, OWNER/NAME.
        out: file to write; by default NAME.safetensors.
        revision: commit SHA, branch or tag; by default the newest commit.
        digest: expected SHA-256 of the file; a file with another digest is rejected.
        json: print the result as one JSON object in the last line of the output.
    """

    repo: Repository
    out: Maybe[Path] = None
    revision: Maybe[str] = None
    digest: Maybe[str] = None
    json: bool = False


def export(words: Sequence[str]) -> None:
    """Export the net of a run to a single file."""
    from twofold import exporting

    options = parse(Export, words, "export")
    name = Path(exporting.KINDS[options.to])
    default = options.run.with_suffix(name.suffix) if options.run.is_file() else options.run / name
    path = options.out or default
    if path.suffix != name.suffix:
        raise SettingError(f"--out is {path}, expected a file name ending in {name.suffix} for --to {options.to}")
    if options.out is None and path != options.run and path.exists():
        raise SettingError(f"{path} already exists: give --out {path} to replace it, or another --out")
    _answer({"file": str(exporting.export(options.run, path))}, options.json)


def push(words: Sequence[str]) -> None:
    """Upload the net of a run to the Hub."""
    from twofold.exporting import hub

    options = parse(Push, words, "push")
    pushed = hub.push(options.run, options.repo, onnx=options.onnx, license=options.license, private=options.private)
    _answer(dataclasses.asdict(pushed), options.json)


def pull(words: Sequence[str]) -> None:
    """Download a net from the Hub."""
    from twofold.exporting import hub

    options = parse(Pull, words, "pull")
    pulled = hub.pull(options.repo, options.out, revision=options.revision, digest=options.digest)
    _answer({**dataclasses.asdict(pulled), "path": str(pulled.path)}, options.json)


def _answer(facts: dict[str, Any], as_json: bool) -> None:
    print("\n".join(f"{name:10} {value}" for name, value in facts.items()))
    if as_json:
        print(json.dumps(facts))
