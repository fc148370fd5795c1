"""A Hugging Face Hub of our own, on this machine: the routes that huggingface_hub uses to read and write models."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import yaml

LARGE = (".safetensors", ".bin", ".pth")  # what the Hub keeps by SHA-256; all else has git's hash


class Hub:
    """Repositories by name, each a list of commits from file name to bytes; the last one is ``main``."""

    def __init__(self) -> None:
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        self.gated: set[str] = set()
        self.private: set[str] = set()
        self.stored: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.spoil = lambda content: content
        self.address = ""

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        """A new commit on top of the last; its name."""
        before = self.commits.setdefault(repository, [])
        before.append((before[-1] if before else {}) | files)
        return self.name(repository, len(before) - 1)

    @staticmethod
    def name(repository: str, number: int) -> str:
        return hashlib.sha1(f"{repository} {number}".encode()).hexdigest()

    def at(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commits = self.commits[repository]
        names = [self.name(repository, number) for number in range(len(commits))]
        if revision == "main" and names:
            return names[-1], commits[-1]
        return (revision, commits[names.index(revision)]) if revision in names else None


def etag(name: str, content: bytes) -> str:
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def send(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def answer(self, content: object) -> None:
            self.send(200, json.dumps(content).encode(), Content_Type="application/json")

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def do_HEAD(self) -> None:
            hub.asked.append(self.path)
            if (told := re.fullmatch(r"/api/models/([^/]+/[^/]+)", self.path)) and told[1] in hub.commits:
                return self.answer({"id": told[1], "private": told[1] in hub.private, "siblings": []})
            matched = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
            if matched is None:  # somebody without a token asks whether a repository is there
                return self.send(401, X_Error_Code="RepoNotFound")
            repository, revision, name = matched.groups()
            if repository in hub.gated:
                return self.send(403, X_Error_Code="GatedRepo")
            if repository not in hub.commits:
                return self.send(401, X_Error_Code="RepoNotFound")
            found = hub.at(repository, revision)
            if found is None:
                return self.send(404, X_Error_Code="RevisionNotFound")
            commit, files = found
            if name not in files:
                return self.send(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
            quoted = f'"{etag(name, files[name])}"'
            return self.send(200, hub.spoil(files[name]), ETag=quoted, X_Repo_Commit=commit)

        do_GET = do_HEAD

        def do_PUT(self) -> None:
            content = self.body()
            oid = self.path.removeprefix("/upload/")
            assert hashlib.sha256(content).hexdigest() == oid
            hub.stored[oid] = content
            self.send(200)

        def do_POST(self) -> None:
            content = self.body()
            if self.path == "/api/validate-yaml":
                front = json.loads(content)["content"].split("---\n")[1]
                assert isinstance(yaml.safe_load(front), dict)
                return self.answer({"errors": [], "warnings": []})
            if "Bearer" not in self.headers.get("Authorization", ""):
                return self.send(401, b"{}", X_Error_Message="Invalid username or password.")
            if self.path == "/api/repos/create":
                asked = json.loads(content)
                repository = f"{asked['organization']}/{asked['name']}"
                status = 409 if repository in hub.commits else 200
                if status == 200 and (asked.get("private") or asked.get("visibility") == "private"):
                    hub.private.add(repository)
                hub.commits.setdefault(repository, [{}])
                address = f"{hub.address}/{repository}"
                return self.send(status, json.dumps({"url": address, "name": repository, "id": "1"}).encode())
            if matched := re.fullmatch(r"/api/models/(.+)/preupload/main", self.path):
                files = [file["path"] for file in json.loads(content)["files"]]
                modes = {name: "lfs" if name.endswith(LARGE) else "regular" for name in files}
                kept = [{"path": n, "uploadMode": mode, "shouldIgnore": False} for n, mode in modes.items()]
                return self.answer({"files": kept})
            if self.path.endswith("/info/lfs/objects/batch"):
                objects = json.loads(content)["objects"]
                for one in objects:
                    one["actions"] = {"upload": {"href": f"{hub.address}/upload/{one['oid']}"}}
                return self.answer({"transfer": "basic", "objects": objects})
            matched = re.fullmatch(r"/api/models/(.+)/commit/main", self.path)
            assert matched, self.path
            files = {}
            for line in content.decode().splitlines():
                said = json.loads(line)
                if said["key"] == "file":
                    files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
                if said["key"] == "lfsFile":
                    files[said["value"]["path"]] = hub.stored[said["value"]["oid"]]
            oid = hub.commit(matched[1], files)
            address = f"{hub.address}/{matched[1]}/commit/{oid}"
            return self.answer({"success": True, "commitOid": oid, "commitUrl": address, "hookOutput": ""})

    return Handler


@contextmanager
def hub_stand_in() -> Iterator[Hub]:
    """A hub that listens on this machine alone."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
