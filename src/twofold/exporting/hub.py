"""Trained nets on the Hugging Face hub: pushed as one file with a model card, and pulled by revision and digest."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from twofold.checks import typed
from twofold.errors import RunError, SettingError, TwofoldError
from twofold.exporting.card import LICENSE, card
from twofold.exporting.export import KINDS, export
from twofold.files import replacing
from twofold.machine.extras import needed
from twofold.training import runs, single_file

FILE = KINDS["safetensors"]
"""What the one file is called on the hub."""


@dataclass(frozen=True)
class Pushed:
    """What is on the hub now.

    Attributes:
        url: of the commit.
        revision: its SHA.
        digest: SHA-256 of the one file.
    """

    url: str
    revision: str
    digest: str


@dataclass(frozen=True)
class Pulled:
    """What was fetched from the hub.

    Attributes:
        path: of the file.
        revision: SHA of the commit that it is from.
        digest: SHA-256 of the file.
    """

    path: Path
    revision: str
    digest: str


@typed
def push(folder: Path, repo: str, *, onnx: bool = False, license: str = LICENSE, private: bool = False) -> Pushed:
    """Put a complete run on the hub, in one commit: the one file, the model card and, if asked for, the ONNX file.

    Where the hub is, and who asks, is left to huggingface_hub: ``HF_ENDPOINT``, ``HF_TOKEN``, ``hf auth login``.

    Args:
        folder: the run folder.
        repo: NAME or OWNER/NAME; made where it is not there.
        onnx: whether the ONNX file is put beside it.
        license: see `card.card`.
        private: whether a new repository is for its owner alone.

    Raises:
        RunError: the run is damaged or not complete, or the hub does not take it.
        SettingError: huggingface_hub is not here, or the repository cannot be called so.
    """
    hub = needed("huggingface_hub", "hub", "twofold push")
    text = card(runs.load(folder, "cpu"), license)
    with TemporaryDirectory(prefix="twofold-") as place:
        files = [export(folder, Path(place) / FILE)]
        if onnx:
            files.append(export(folder, Path(place) / KINDS["onnx"]))
        digest = _digest(files[0])
        with _answered(hub, repo):
            api = hub.HfApi(library_name="twofold")
            there = api.create_repo(repo, private=private, exist_ok=True).repo_id
            adds = [hub.CommitOperationAdd(each.name, each) for each in files]
            adds.append(hub.CommitOperationAdd(KINDS["card"], text.encode()))
            done = api.create_commit(there, adds, commit_message=f"Trained net {folder.absolute().name}")
            return Pushed(str(done.commit_url), _sha(done.oid), digest)


@typed
def pull(repo: str, path: Path | None = None, *, revision: str | None = None, digest: str | None = None) -> Pulled:
    """Fetch the one file of a net from the hub; it gets its name when all of it is there and as it was written.

    Args:
        repo: OWNER/NAME.
        path: of the new file; by default NAME.safetensors in the current folder.
        revision: a commit by its SHA, a branch or a tag; by default the newest.
        digest: SHA-256 that the file must have.

    Raises:
        RunError: the hub has no such file, or another one, or cannot be reached; or there is a file of this name.
        SettingError: huggingface_hub is not here, or there can be no such repository or digest.
    """
    hub = needed("huggingface_hub", "hub", "twofold pull")
    if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise SettingError(f"--digest is {digest!r}, expected the 64 digits of a SHA-256, as `twofold push` says them")
    path = Path(f"{repo.rpartition('/')[2]}.safetensors") if path is None else path
    if path.exists():
        raise RunError(f"{path} exists: choose another --out, or remove it")
    with TemporaryDirectory(prefix="twofold-") as place:
        with _answered(hub, repo, revision):
            api = hub.HfApi(library_name="twofold")
            found = _sha(api.model_info(repo, revision=revision).sha)
            if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision) and found != revision:
                raise RunError(
                    f"the hub gives the revision {found} of {repo}, asked for is {revision}: take another hub"
                )
            fetched = Path(api.hf_hub_download(repo, FILE, revision=found, local_dir=place))
        said = f"{FILE} of {repo} at the revision {found}"
        is_of = _digest(fetched)
        if digest is not None and is_of != digest:
            raise RunError(f"{said} has the SHA-256 {is_of}, expected {digest}: it is another file; nothing is kept")
        try:
            single_file.read(fetched)
        except TwofoldError as error:
            why = str(error).replace(str(fetched), "it")
            raise RunError(f"{said} is no net of twofold's, or damaged ({why}); nothing is kept") from error
        with replacing(path) as temporary:
            shutil.copyfile(fetched, temporary)
    return Pulled(path, found, is_of)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha(revision: Any) -> str:
    """A revision that the hub names.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(revision, str) or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError("no revision")
    return revision


@contextmanager
def _answered(hub: Any, repo: str, revision: str | None = None) -> Iterator[None]:
    """Say in one line what the hub said, without what it was asked with.

    Raises:
        RunError: it cannot be reached, or answers with an error, or as no hub does.
        SettingError: there can be no such repository.
    """
    try:
        yield
    except TwofoldError:
        raise
    except Exception as error:  # of any type, where what is answered is something else
        raise _told(hub, error, repo, revision) from error


def _told(hub: Any, error: BaseException, repo: str, revision: str | None) -> TwofoldError:
    """What went wrong, in one line."""
    place, errors = urlsplit(hub.constants.ENDPOINT), hub.errors
    where = f"{place.scheme}://{place.hostname}{f':{place.port}' if place.port else ''}"
    while isinstance(error, RuntimeError | errors.LocalEntryNotFoundError) and error.__cause__:
        error = error.__cause__  # what it wraps says more
    match error:
        case errors.HFValidationError():
            return SettingError(f"{repo!r} is no name of a repository: expected OWNER/NAME, of letters, digits and -_.")
        case errors.RevisionNotFoundError():
            why = f"{repo} on {where} has no revision {revision}: leave it away, or look there"
        case errors.GatedRepoError():
            why = f"{repo} on {where} is for those whom its owner lets in: ask there, then `hf auth login`"
        case errors.RemoteEntryNotFoundError():
            why = f"{repo} on {where} has no {FILE}: give a repository that `twofold push` made"
        case errors.LocalTokenNotFoundError():
            why = f"{where} has to know who you are: `hf auth login`, or set HF_TOKEN"
        case errors.HfHubHTTPError():
            status = error.response.status_code
            why = f"{where} answers {repo} with {_WHY.get(status, f'the status {status}: try again later')}"
        case OSError(errno=int(), strerror=str()) if not isinstance(error, ConnectionError):
            why = f"the files for {repo} cannot be written or read ({error.strerror}): free some space"
        case (
            ValueError()
            | LookupError()
            | AssertionError()
            | TypeError()
            | AttributeError()
            | errors.FileMetadataError()
        ):
            why = f"{where} does not answer as a hub does: see where HF_ENDPOINT and the proxies lead"
        case _:
            why = f"{where} cannot be reached, or broke off ({type(error).__name__}): try again"
    return RunError(why)


_WHY = {
    401: "401, it does not know you: `hf auth login`, or set HF_TOKEN",
    403: "403, your token does not allow it: make one that may write there",
    404: "404, it is not there, or not for you: see how it is written, or `hf auth login`",
    413: "413, the file is too large for it",
    429: "429, too many requests: try again later",
}
"""What statuses of the hub mean."""
