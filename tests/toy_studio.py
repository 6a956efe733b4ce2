"""A studio on a free port, and a client that speaks to it as a browser does."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from choreo.studio.server import Server
from choreo.studio.settings import Settings

WAIT = 120.0  # seconds, for a machine that does other things as well


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json", self
        return json.loads(self.body)


@dataclass
class Client:
    """One browser: it has the cookie, and says what a browser would."""

    address: str
    cookie: str = ""
    usual: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.usual = {"Cookie": self.cookie or self.enter()}

    def enter(self) -> str:
        answer = self.get(f"/?{urlsplit(self.address).query}", headers={})
        assert answer.status == 303, answer
        return answer.headers["set-cookie"].partition(";")[0]

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            given = self.usual if headers is None else headers
            connection.request(method, path, body or None, given)
            found = connection.getresponse()
            names = {name.lower(): value for name, value in found.getheaders()}
            return Answer(found.status, names, found.read())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, content: Any, **headers: str) -> Answer:
        own = {"Content-Type": "application/json", "Origin": self.origin, **headers}
        return self.request("POST", path, json.dumps(content).encode(), self.usual | own)

    @property
    def port(self) -> int:
        found = urlsplit(self.address).port
        assert found is not None
        return found

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, title: str = "") -> str:
        """The id of the run of a title."""
        runs = self.get("/api/runs").json["runs"]
        return next(run["id"] for run in runs if title in run["title"])

    def socket(self, path: str, **headers: str) -> ClientConnection:
        uri = f"ws://127.0.0.1:{self.port}{path}"
        own = {"Origin": self.origin, **self.usual, **headers}
        return connect(uri, additional_headers=own, max_size=2**24, open_timeout=WAIT)

    def settled(self, path: str) -> Answer:
        """What a path gives in the end, when it is no longer being made."""
        began = time.monotonic()
        while time.monotonic() - began < WAIT:
            answer = self.get(path)
            waiting = answer.status == 202
            if answer.status == 200 and answer.headers["content-type"] == "application/json":
                waiting = answer.json.get("state") in ("waiting", "working")
            if not waiting:
                return answer
            time.sleep(0.1)
        raise AssertionError(f"{path} is not made after {WAIT} s: {answer}")

    def done(self, path: str, content: Any) -> dict[str, Any]:
        """The job that a POST begins, when it is over."""
        answer = self.post(path, content)
        assert answer.status in (200, 202), answer
        return self.settled(f"/api/jobs/{answer.json['job']}").json


@contextmanager
def serving(place: Path, **settings: Any) -> Iterator[Server]:
    """A server in a thread of this process; `settings` are those of `Settings`."""
    server, ready = Server(Settings(place=place, **settings), port=0), threading.Event()
    thread = threading.Thread(target=server.serve, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(WAIT)
        yield server
    finally:
        server.stop()
        thread.join(WAIT)
        assert not thread.is_alive()


def told(socket: ClientConnection, *kinds: str) -> dict[str, Any]:
    """The next message of one of these kinds; others and pictures are passed over."""
    while True:
        message = socket.recv(timeout=WAIT)
        if isinstance(message, str) and (found := json.loads(message))["type"] in kinds:
            return found


def score(*moves: tuple[int, int], seed: int = 0, **more: Any) -> dict[str, Any]:
    """A score of skills and steps as JSON."""
    return {"moves": [{"skill": k, "steps": n} for k, n in moves], "seed": seed, "loop": 1, **more}


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder outside of the studio's cache, with size and time of change."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if "studio" not in path.relative_to(folder).parts and not path.is_dir()
    }
