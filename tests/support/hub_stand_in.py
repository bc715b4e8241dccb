"""A stand-in for the Hugging Face hub on this machine: a real HTTP server with the paths that huggingface_hub asks.

Repositories are lists of commits. Files in ``LARGE`` go the way of Git LFS: uploaded to another host, and fetched from
there, which must never see a token.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TOKEN = "hf_aSecretThatNobodyMaySee"
LARGE = (".safetensors", ".onnx")
USER = "somebody"

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""


def html(status: int = 200, **headers: str) -> Reply:
    """What a proxy, a login page or a mirror says."""
    return status, {"Content-Type": "text/html", **headers}, b"<!doctype html><title>Welcome</title>"


def said(content: Any, status: int = 200, **headers: str) -> Reply:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(content).encode()


class Hub:
    """The hub.

    Attributes:
        commits: repository -> its commits, the newest last: SHA and files.
        blobs: SHA-256 -> content of large files.
        requests: of each that came: method, path, and whether it had a token.
        odd: path, as a pattern -> what is answered in place of the truth.
    """

    def __init__(self) -> None:
        self.commits: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, bool]] = []
        self.odd: dict[str, Reply] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                status, headers, body = hub.answer(self, self.rfile.read(length))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: pytest prints what matters."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        port = self.server.server_address[1]
        self.url, self.store = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def put(self, repo: str, **files: bytes) -> str:
        """Commit files, whose names have _ for a dot; the SHA."""
        named = {name.replace("_", ".", 1): content for name, content in files.items()}
        before = self.commits.setdefault(repo, [])
        sha = hashlib.sha1(repr((len(before), sorted(named.items()))).encode()).hexdigest()
        before.append((sha, {**(before[-1][1] if before else {}), **named}))
        return sha

    def at(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit of a revision."""
        there = self.commits.get(repo, [])
        return there[-1] if there and revision == "main" else next((one for one in there if one[0] == revision), None)

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        path, has_token = request.path.partition("?")[0], "Authorization" in request.headers
        self.requests.append((f"{request.headers['Host'].partition(':')[0]} {request.command}", path, has_token))
        for pattern, reply in self.odd.items():
            if re.fullmatch(pattern, path):
                return reply
        writes = request.command in ("POST", "PUT") and not path.startswith(("/store/", "/api/validate-yaml"))
        if writes and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return said({"error": "Invalid username or password."}, 401)
        for pattern, method in PATHS.items():
            if found := re.fullmatch(pattern, path):
                return method(self, body, **found.groupdict())
        return said({"error": f"no such path: {path}"}, 404)

    # ---- writing -----------------------------------------------------------------------------------------------

    def create(self, body: bytes) -> Reply:
        asked = json.loads(body)
        repo = f"{asked.get('organization') or USER}/{asked['name']}"
        if repo in self.commits:
            return said({"error": "You already created this model repo", "url": f"{self.url}/{repo}"}, 409)
        self.commits[repo] = []
        return said({"url": f"{self.url}/{repo}", "private": asked.get("visibility") == "private"})

    def validate(self, body: bytes) -> Reply:
        return said({"errors": [], "warnings": []})

    def preupload(self, body: bytes, repo: str) -> Reply:
        files = [
            {"path": each["path"], "uploadMode": "lfs" if each["path"].endswith(LARGE) else "regular"}
            for each in json.loads(body)["files"]
        ]
        return said({"files": [{**each, "shouldIgnore": False} for each in files]})

    def batch(self, body: bytes, repo: str) -> Reply:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.store}/store/{each['oid']}"}}}
            for each in json.loads(body)["objects"]
        ]
        return said({"transfer": "basic", "objects": objects})

    def keep(self, body: bytes, oid: str) -> Reply:
        if body:
            self.blobs[hashlib.sha256(body).hexdigest()] = body
        return (200, {"Content-Type": "application/octet-stream"}, self.blobs[oid])

    def commit(self, body: bytes, repo: str) -> Reply:
        files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.blobs[value["oid"]]
        sha = self.put(repo, **files)
        return said({"success": True, "commitOid": sha, "commitUrl": f"{self.url}/{repo}/commit/{sha}"})

    # ---- reading -----------------------------------------------------------------------------------------------

    def info(self, body: bytes, repo: str, revision: str | None = None) -> Reply:
        if repo not in self.commits:
            return said({"error": "Repository not found"}, 404, **{"X-Error-Code": "RepoNotFound"})
        if not (found := self.at(repo, revision or "main")):
            return said({"error": "Invalid rev id"}, 404, **{"X-Error-Code": "RevisionNotFound"})
        return said({"id": repo, "sha": found[0], "siblings": [{"rfilename": name} for name in found[1]]})

    def resolve(self, body: bytes, repo: str, revision: str, name: str) -> Reply:
        found = self.at(repo, revision)
        if not found or name not in found[1]:
            return said({"error": "Entry not found"}, 404, **{"X-Error-Code": "EntryNotFound"})
        sha, content = found[0], found[1][name]
        digest = hashlib.sha256(content).hexdigest()
        self.blobs[digest] = content
        linked = {"X-Repo-Commit": sha, "X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        if name.endswith(LARGE):
            return 302, {**linked, "Location": f"{self.store}/store/{digest}"}, b""
        return 200, {"X-Repo-Commit": sha, "ETag": f'"{digest[:40]}"'}, content


REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
PATHS: dict[str, Callable[..., Reply]] = {
    r"/api/repos/create": Hub.create,
    r"/api/validate-yaml": Hub.validate,
    rf"/api/models/{REPO}/preupload/main": Hub.preupload,
    rf"/{REPO}\.git/info/lfs/objects/batch": Hub.batch,
    r"/store/(?P<oid>[0-9a-f]{64})": Hub.keep,
    rf"/api/models/{REPO}/commit/main": Hub.commit,
    rf"/api/models/{REPO}": Hub.info,
    rf"/api/models/{REPO}/revision/(?P<revision>[^/]+)": Hub.info,
    rf"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<name>[^/]+)": Hub.resolve,
}
"""What is answered at each path."""
