"""Nets on the hub: pushed, pulled by revision and digest, and a hub that answers something else.

Oracle: a stand-in that speaks HTTP on this machine, and remembers what it was asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard, constants
from safetensors.torch import save

import twofold
from support.command_line import answer
from support.helpers import refusal
from support.hub_stand_in import TOKEN, Hub, Reply, html, said
from support.runs import train
from twofold.data import Dataset
from twofold.errors import RunError, SettingError, TwofoldError
from twofold.exporting import hub as exporting
from twofold.methods import BackpropRecipe

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub to httpx


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The stand-in, and a user with a token who is in an empty folder."""
    with Hub() as one:
        monkeypatch.setattr(constants, "ENDPOINT", one.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", one.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        yield one


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, twin_recipe: BackpropRecipe, tiny: Dataset) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny-net"
    train(twin_recipe, folder, tiny, name="tiny")
    return folder


@pytest.fixture(scope="module")
def one_file(folder: Path) -> bytes:
    return twofold.export(folder, folder.parent / "one.safetensors").read_bytes()


def test_what_is_pushed_is_pulled_by_revision_and_digest(hub: Hub, folder: Path, tiny: Dataset) -> None:
    done = exporting.push(folder, "tiny-net", license="cc-by-4.0")
    (sha, files), *others = hub.commits["somebody/tiny-net"]
    assert not others
    assert files.keys() == {"model.safetensors", "README.md"}
    assert done == exporting.Pushed(
        f"{hub.url}/somebody/tiny-net/commit/{sha}", sha, hashlib.sha256(files["model.safetensors"]).hexdigest()
    )
    assert ModelCard(files["README.md"].decode()).data.license == "cc-by-4.0"

    hub.put("somebody/tiny-net", model_safetensors=b"something newer")
    found = exporting.pull("somebody/tiny-net", revision=sha, digest=done.digest)
    assert found == exporting.Pulled(Path("tiny-net.safetensors"), sha, done.digest)
    assert found.path.read_bytes() == files["model.safetensors"]
    here, there = (twofold.load(place, "cpu") for place in (folder, found.path))
    assert here.net.fast(tiny.test_images).equal(there.net.fast(tiny.test_images))
    assert [path.name for path in Path().iterdir()] == ["tiny-net.safetensors"]


def test_no_other_host_than_the_hub_sees_the_token(hub: Hub, folder: Path) -> None:
    exporting.push(folder, "somebody/net")
    exporting.pull("somebody/net")
    assert {has_token for host, _, has_token in hub.requests if host.startswith("localhost")} == {False}
    assert any(host == "localhost PUT" for host, _, _ in hub.requests)
    assert any(host == "localhost GET" for host, _, _ in hub.requests)
    assert all(has_token for host, path, has_token in hub.requests if path.startswith("/api/models"))
    hub.odd[r"/api/models/.*"] = (302, {"Location": f"{hub.store}/elsewhere"}, b"")
    hub.requests.clear()
    refusal(lambda: exporting.pull("somebody/net", Path("other.safetensors")))
    assert [entry for entry in hub.requests if entry[1] == "/elsewhere"] == [("localhost GET", "/elsewhere", False)]


@pytest.mark.slow
def test_a_run_goes_to_the_hub_and_comes_back_on_the_command_line(hub: Hub, folder: Path) -> None:
    """As a user has it: another process, told by the environment where the hub is."""
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}

    def command(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "twofold", *words, "--json"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    pushed = command("push", str(folder), "somebody/net", "--onnx", "--private")
    assert hub.commits["somebody/net"][0][1].keys() == {"model.safetensors", "README.md", "model.onnx"}
    pulled = command("pull", "somebody/net", "--revision", pushed["revision"], "--digest", pushed["digest"])
    assert pulled == {"path": "net.safetensors", "revision": pushed["revision"], "digest": pushed["digest"]}
    assert twofold.load("net.safetensors").result.recipe == "tiny"


SHA = "0123456789" * 4
OTHERS: dict[str, tuple[dict[str, Reply], str]] = {
    "a page where a repository should be": ({r"/api/models/.*": html()}, "sent an unexpected response"),
    "a list": ({r"/api/models/.*": said([])}, "sent an unexpected response"),
    "no revision": ({r"/api/models/.*": said({"id": "a/b"})}, "sent an unexpected response"),
    "a revision that is none": (
        {r"/api/models/.*": said({"id": "a/b", "sha": "../x"})},
        "sent an unexpected response",
    ),
    "not found": ({r"/api/models/.*": html(404)}, "404, it does not exist or is private"),
    "who are you": ({r"/api/models/.*": said({}, 401)}, "401, not authenticated: run `hf auth login`"),
    "not for you": ({r"/api/models/.*": html(403)}, "403, permission denied"),
    "gated": (
        {r"/api/models/.*": said({}, 403, **{"X-Error-Code": "GatedRepo"})},
        "is restricted: request access there",
    ),
    "no such revision": ({r"/api/models/.*": said({}, 404, **{"X-Error-Code": "RevisionNotFound"})}, "has no revision"),
    "broken": ({r"/api/models/.*": html(500)}, "status 500: try again later"),
    "sent away to a page": (
        {r"/api/models/.*": (302, {"Location": "/login"}, b""), r"/login": html()},
        "sent an unexpected response",
    ),
    "sent around in a circle": (
        {r"/api/models/.*": (302, {"Location": "/api/models/a/b"}, b"")},
        "the connection broke",
    ),
    "no such file": (
        {r".*/resolve/.*": said({}, 404, **{"X-Error-Code": "EntryNotFound"})},
        "has no model.safetensors: give a repository that was created by `twofold push`",
    ),
    "a page where the file should be": ({r".*/resolve/.*": html()}, "sent an unexpected response"),
    "a page as the file": (
        {r".*/resolve/.*": html(**{"X-Repo-Commit": SHA, "ETag": '"1"'})},
        "is damaged or not a net of twofold",
    ),
    "the store gives a page": ({r"/store/.*": html()}, "the connection broke"),
}
"""Something else than a hub answers: what, and what is said about it."""


def nothing_is_left(tmp_path: Path) -> bool:
    return not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize("case", OTHERS)
def test_a_hub_that_answers_something_else_is_told_in_one_line_and_nothing_is_kept(
    case: str, hub: Hub, one_file: bytes, tmp_path: Path
) -> None:
    hub.put("a/b", model_safetensors=one_file)
    hub.odd, words = OTHERS[case]
    said = refusal(lambda: exporting.pull("a/b"))
    assert words in said
    assert "a/b" in said or hub.url in said
    assert TOKEN not in said
    assert nothing_is_left(tmp_path)


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


FILES: dict[str, Callable[[bytes], bytes]] = {
    "one bit is another": flipped,
    "cut off": lambda content: content[:-100],
    "a pickle": lambda _: pickle.dumps({"weight": 1}),
    "another's tensors": lambda _: save({"weight": torch.ones(2)}, {"format": "pt"}),
    "tensors alone": lambda _: save({"weight": torch.ones(2)}),
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_net_of_ours_is_not_kept(case: str, hub: Hub, one_file: bytes, tmp_path: Path) -> None:
    sha = hub.put("a/b", model_safetensors=FILES[case](one_file))
    said = refusal(lambda: exporting.pull("a/b"))
    assert said.startswith(f"model.safetensors of a/b at revision {sha} is damaged or not a net of twofold")
    assert "/tmp" not in said
    assert nothing_is_left(tmp_path)


def test_another_revision_or_digest_than_asked_for_is_refused(hub: Hub, one_file: bytes, tmp_path: Path) -> None:
    sha = hub.put("a/b", model_safetensors=one_file)
    digest = hashlib.sha256(one_file).hexdigest()
    wrong = digest[::-1]
    for action, words in (
        (lambda: exporting.pull("a/b", digest=wrong), f"has the SHA-256 {digest}, expected {wrong}"),
        (lambda: exporting.pull("a/b", digest=digest[:-1]), "expected the 64 digits of a SHA-256"),
        (lambda: exporting.pull("a/b", revision="nowhere"), "has no revision nowhere"),
        (lambda: exporting.pull("a b"), "invalid repository name 'a b'"),
        (lambda: exporting.pull("nobody/c"), "404, it does not exist or is private"),
    ):
        assert words in refusal(action, TwofoldError)
    hub.odd[r"/api/models/.*"] = said({"id": "a/b", "sha": sha})
    assert f"returns revision {sha} of a/b, expected {SHA}" in refusal(lambda: exporting.pull("a/b", revision=SHA))
    assert nothing_is_left(tmp_path)


def test_a_file_that_is_there_is_not_overwritten(hub: Hub, one_file: bytes) -> None:
    hub.put("a/b", model_safetensors=one_file)
    Path("b.safetensors").write_text("mine")
    assert refusal(lambda: exporting.pull("a/b")).startswith("b.safetensors exists: choose another --out")
    assert Path("b.safetensors").read_text() == "mine"


REFUSED: dict[str, tuple[dict[str, Reply], str]] = {
    "who are you": ({}, "401, not authenticated"),
    "a page": ({r"/api/repos/create": html()}, "sent an unexpected response"),
    "not for you": (
        {r"/api/repos/create": html(403), r"/api/models/.*": html(403)},
        "403, permission denied",
    ),
    "too large": ({r"/api/models/.*/commit/.*": html(413)}, "413, the file is too large"),
    "a page after the commit": ({r"/api/models/.*/commit/.*": html()}, "sent an unexpected response"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_hub_that_does_not_take_a_net_is_told_in_one_line(
    case: str, hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.odd, words = REFUSED[case]
    wrong = f"{TOKEN}ButWrong" if case == "who are you" else TOKEN
    monkeypatch.setenv("HF_TOKEN", wrong)
    said = refusal(lambda: exporting.push(folder, "somebody/net"))
    assert words in said
    assert TOKEN not in said
    assert not hub.commits.get("somebody/net")


def test_a_hub_that_is_not_there_is_told_without_what_its_address_hides(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://me:secret@127.0.0.1:9")
    said = refusal(lambda: exporting.pull("a/b"))
    assert said.startswith("http://127.0.0.1:9 cannot be reached")
    assert "secret" not in said
    assert nothing_is_left(tmp_path)


def test_without_huggingface_hub_its_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for action, name in ((lambda: exporting.pull("a/b"), "pull"), (lambda: exporting.push(folder, "b"), "push")):
        said = refusal(action, SettingError)
        assert said == f"twofold {name} needs huggingface_hub, which is not installed: pip install 'twofold[hub]'"


def test_the_commands_say_what_became_of_it(hub: Hub, folder: Path) -> None:
    code, out, _ = answer(["push", str(folder), "somebody/net"])
    assert code == 0
    revision = re.fullmatch(r"revision +([0-9a-f]{40})", out[1])
    assert revision
    code, out, _ = answer(["pull", "somebody/net", "--out", "got.safetensors", "--revision", revision[1]])
    assert code == 0
    assert out[0] == "path       got.safetensors"
    code, _, error = answer(["pull", "somebody/none"])
    assert code == 1
    assert len(error) == 1
    assert refusal(lambda: exporting.push(folder / "nothing", "net"), RunError).startswith(
        f"{folder}/nothing is not a run"
    )
