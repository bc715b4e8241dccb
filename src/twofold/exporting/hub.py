"""Upload of trained nets to the Hugging Face hub, and verified downloads."""

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

from twofold.checks import check_arguments
from twofold.errors import RunError, SettingError, TwofoldError
from twofold.exporting.card import LICENSE, card
from twofold.exporting.export import KINDS, export
from twofold.files import replacing
from twofold.machine.extras import needed
from twofold.training import runs, single_file

FILE = KINDS["safetensors"]
"""Name of the safetensors file in a repository on the hub."""


@dataclass(frozen=True)
class Pushed:
    """Result of `push`.

    Attributes:
        url: URL of the commit.
        revision: SHA of the commit.
        digest: SHA-256 of the uploaded safetensors file.
    """

    url: str
    revision: str
    digest: str


@dataclass(frozen=True)
class Pulled:
    """Result of `pull`.

    Attributes:
        path: Path of the downloaded file.
        revision: SHA of the commit that the file belongs to.
        digest: SHA-256 of the file.
    """

    path: Path
    revision: str
    digest: str


@check_arguments
def push(folder: Path, repo: str, *, onnx: bool = False, license: str = LICENSE, private: bool = False) -> Pushed:
    """Upload a complete run to the hub in one commit: the net as safetensors, a model card and, optionally, ONNX.

    The address of the hub and the token of the user are those of huggingface_hub: ``HF_ENDPOINT``, ``HF_TOKEN``,
    ``hf auth login``.

    Args:
        folder: Run folder.
        repo: NAME or OWNER/NAME; created if it does not exist.
        onnx: If True, also upload an ONNX file.
        license: Licence of the net; see `card.card`.
        private: If True and the repository does not exist, create a private one.

    Raises:
        RunError: The run is damaged or not complete, or the hub cannot be reached or refuses the upload.
        SettingError: huggingface_hub is not installed, or the name of the repository is invalid.
    """
    hub = needed("huggingface_hub", "hub", "twofold push")
    text = card(runs.load(folder, "cpu"), license)
    with TemporaryDirectory(prefix="twofold-") as temporary:
        files = [export(folder, Path(temporary) / FILE)]
        if onnx:
            files.append(export(folder, Path(temporary) / KINDS["onnx"]))
        digest = _digest(files[0])
        with _one_line_errors(hub, repo):
            api = hub.HfApi(library_name="twofold")
            repo_id = api.create_repo(repo, private=private, exist_ok=True).repo_id
            adds = [hub.CommitOperationAdd(file.name, file) for file in files]
            adds.append(hub.CommitOperationAdd(KINDS["card"], text.encode()))
            commit = api.create_commit(repo_id, adds, commit_message=f"Trained net {folder.absolute().name}")
            return Pushed(str(commit.commit_url), _sha(commit.oid), digest)


@check_arguments
def pull(repo: str, path: Path | None = None, *, revision: str | None = None, digest: str | None = None) -> Pulled:
    """Download the safetensors file of a net from the hub. The file is saved only after it was verified.

    Args:
        repo: OWNER/NAME.
        path: Path of the file to write; by default NAME.safetensors in the current folder.
        revision: SHA of a commit, a branch or a tag; by default the newest commit.
        digest: Expected SHA-256 of the file.

    Raises:
        RunError: The hub cannot be reached or does not have the file, the file is not the expected one, or the path
            exists already.
        SettingError: huggingface_hub is not installed, or the name of the repository or the digest is invalid.
    """
    hub = needed("huggingface_hub", "hub", "twofold pull")
    if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise SettingError(f"--digest is {digest!r}, expected the 64 digits of a SHA-256, as printed by `twofold push`")
    path = Path(f"{repo.rpartition('/')[2]}.safetensors") if path is None else path
    if path.exists():
        raise RunError(f"{path} exists: choose another --out, or remove it")
    with TemporaryDirectory(prefix="twofold-") as folder:
        with _one_line_errors(hub, repo, revision):
            api = hub.HfApi(library_name="twofold")
            sha = _sha(api.model_info(repo, revision=revision).sha)
            if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision) and sha != revision:
                raise RunError(f"the hub returns revision {sha} of {repo}, expected {revision}: use another hub")
            fetched = Path(api.hf_hub_download(repo, FILE, revision=sha, local_dir=folder))
        title = f"{FILE} of {repo} at revision {sha}"
        actual = _digest(fetched)
        if digest is not None and actual != digest:
            raise RunError(f"{title} has the SHA-256 {actual}, expected {digest}: it was not saved, check --digest")
        try:
            single_file.read(fetched)
        except TwofoldError as error:
            why = str(error).replace(str(fetched), "it")
            raise RunError(f"{title} is damaged or not a net of twofold ({why}); it was not saved") from error
        with replacing(path) as temporary:
            shutil.copyfile(fetched, temporary)
    return Pulled(path, sha, actual)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha(revision: Any) -> str:
    """Check a revision that the hub returned, and return it.

    Raises:
        ValueError: The revision is not the SHA of a commit.
    """
    if not isinstance(revision, str) or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError("no revision")
    return revision


@contextmanager
def _one_line_errors(hub: Any, repo: str, revision: str | None = None) -> Iterator[None]:
    """Convert errors of huggingface_hub to one-line errors without tokens and passwords.

    Raises:
        RunError: The hub cannot be reached, reports an error, or sends an unexpected response.
        SettingError: The name of the repository is invalid.
    """
    try:
        yield
    except TwofoldError:
        raise
    except Exception as error:  # an unexpected response may cause errors of any type
        raise _converted(hub, error, repo, revision) from error


def _converted(hub: Any, error: BaseException, repo: str, revision: str | None) -> TwofoldError:
    """Return a one-line error that says what to do, for an error of huggingface_hub."""
    endpoint, errors = urlsplit(hub.constants.ENDPOINT), hub.errors
    server = f"{endpoint.scheme}://{endpoint.hostname}{f':{endpoint.port}' if endpoint.port else ''}"
    while isinstance(error, RuntimeError | errors.LocalEntryNotFoundError) and error.__cause__:
        error = error.__cause__  # more specific
    match error:
        case errors.HFValidationError():
            return SettingError(f"invalid repository name {repo!r}, expected OWNER/NAME of letters, digits and -_.")
        case errors.RevisionNotFoundError():
            message = f"{repo} on {server} has no revision {revision}: omit it, or choose one of those on the hub"
        case errors.GatedRepoError():
            message = f"access to {repo} on {server} is restricted: request access there, then run `hf auth login`"
        case errors.RemoteEntryNotFoundError():
            message = f"{repo} on {server} has no {FILE}: give a repository that was created by `twofold push`"
        case errors.LocalTokenNotFoundError():
            message = f"{server} requires authentication: run `hf auth login`, or set HF_TOKEN"
        case errors.HfHubHTTPError():
            status = error.response.status_code
            message = f"{server} refuses {repo} with status {_STATUSES.get(status, f'{status}: try again later')}"
        case OSError(errno=int(), strerror=str()) if not isinstance(error, ConnectionError):
            message = f"the files for {repo} cannot be written or read ({error.strerror}): free some disk space"
        case (
            ValueError()
            | LookupError()
            | AssertionError()
            | TypeError()
            | AttributeError()
            | errors.FileMetadataError()
        ):
            message = f"{server} sent an unexpected response: check HF_ENDPOINT and the proxy settings"
        case _:
            message = f"{server} cannot be reached, or the connection broke ({type(error).__name__}): try again"
    return RunError(message)


_STATUSES = {
    401: "401, not authenticated: run `hf auth login`, or set HF_TOKEN",
    403: "403, permission denied: use a token with write access",
    404: "404, it does not exist or is private: check the spelling, or run `hf auth login`",
    413: "413, the file is too large",
    429: "429, too many requests: try again later",
}
"""HTTP status of a response of the hub -> explanation for the error message, with advice for the user."""
