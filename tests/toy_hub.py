"""A hub on loopback: as much of its interface as up- and download of small repositories need."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

Files = dict[str, bytes]
NAME, REVISION = r"(?P<name>[^/]+/[^/]+)", r"(?P<revision>[^/]+)"
LISTS = rf"/api/models/{NAME}/(?P<what>revision|tree)/{REVISION}"
FILE = rf"/{NAME}/resolve/{REVISION}/(?P<file>.+)"


class Hub:
    """Repositories with their commits; `sizes` are told in place of a file's own."""

    def __init__(self) -> None:
        self.commits: dict[str, list[tuple[str, Files]]] = {}
        self.sizes: dict[str, int] = {}
        self.asked: list[str] = []

    def commit(self, name: str, files: Files) -> str:
        """A new state of a repository; its hash."""
        told = json.dumps([name, len(self.commits.get(name, [])), sorted(files)])
        sha = hashlib.sha1(told.encode()).hexdigest()
        self.commits.setdefault(name, []).append((sha, files))
        return sha

    def at(self, name: str, revision: str) -> tuple[str, Files] | None:
        """The commit that a revision means; None where there is none."""
        commits = self.commits.get(name) or []
        if revision == "main" and commits:
            return commits[-1]
        return next((one for one in commits if one[0] == revision), None)


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def _send(self, code: int, body: bytes, **headers: str) -> None:
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _json(self, content: Any, code: int = 200) -> None:
            self._send(code, json.dumps(content).encode(), Content_Type="application/json")

        def _here(self) -> str:
            return f"http://{self.headers['Host']}"

        def _missing(self, what: str) -> None:
            self._send(404, b"{}", X_Error_Code=what, X_Error_Message=f"{what} here")

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def do_HEAD(self) -> None:
            self._get()

        def do_GET(self) -> None:
            self._get()

        def _get(self) -> None:
            path = unquote(self.path.partition("?")[0])
            hub.asked.append(f"{self.command} {path}")
            found = re.fullmatch(LISTS, path) or re.fullmatch(FILE, path)
            info = re.fullmatch(r"/api/models/([^/]+/[^/]+)", path)
            if found is None and info is None:
                return self._missing("EntryNotFound")
            name = (found or info)["name"]  # type: ignore[index]
            parts = {} if found is None else found.groupdict()
            revision = parts.get("revision", "main")
            if name not in hub.commits:
                return self._missing("RepoNotFound")
            commit = hub.at(name, revision)
            if commit is None:
                return self._missing("RevisionNotFound")
            if "file" in parts:
                return self._file(commit, parts["file"])
            sizes = {n: hub.sizes.get(n, len(content)) for n, content in commit[1].items()}
            if parts.get("what") == "tree":
                return self._json(
                    [
                        {"type": "file", "path": n, "size": size, "oid": _oid(commit[1][n])}
                        for n, size in sizes.items()
                    ]
                )
            siblings = [{"rfilename": n, "size": size} for n, size in sizes.items()]
            return self._json({"id": name, "sha": commit[0], "siblings": siblings, "tags": []})

        def _file(self, commit: tuple[str, Files], name: str) -> None:
            content = commit[1].get(name)
            if content is None:
                return self._missing("EntryNotFound")
            etag = f'"{_oid(content)}"'
            size = str(hub.sizes.get(name, len(content)))
            linked = {"X_Linked_Size": size, "X_Linked_ETag": etag}
            return self._send(200, content, ETag=etag, X_Repo_Commit=commit[0], **linked)

        def do_POST(self) -> None:
            path = unquote(self.path.partition("?")[0])
            hub.asked.append(f"POST {path}")
            body = self._body()
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
                if name not in hub.commits:
                    hub.commit(name, {".gitattributes": b"*.mp4 filter=lfs\n"})
                return self._json({"url": f"{self._here()}/{name}", "name": name})
            if path == "/api/validate-yaml":
                return self._json({"errors": [], "warnings": []})
            found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/(.+)", path)
            if found is None:
                return self._missing("EntryNotFound")
            if found[2] == "preupload":
                files = json.loads(body)["files"]
                modes = [
                    {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for one in files
                ]
                return self._json({"files": modes})
            return self._commit(found[1], body)

        def _commit(self, name: str, body: bytes) -> None:
            files = dict(hub.commits[name][-1][1])
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "deletedFile":
                    files.pop(value["path"], None)
            sha = hub.commit(name, files)
            url = f"{self._here()}/{name}/commit/{sha}"
            return self._json({"success": True, "commitOid": sha, "commitUrl": url})

    return Handler


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def running() -> Iterator[tuple[Hub, str]]:
    """A hub, and the address that HF_ENDPOINT takes."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
