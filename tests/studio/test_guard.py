"""Nobody but the browser with the token gets in, and nothing but the run's own gets out."""

import json
import select
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import toy_studio
from toy_studio import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from choreo.studio.guard import Guard, Keys
from choreo.studio.routes import range_of
from choreo.studio.server import Server

OUTSIDE = (
    "../../../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a\x00b",
    "%2e%2e%2f",
    "~",
    "C:\\",
)


def test_the_token_gives_a_cookie_once_and_leads_on(server: Server) -> None:
    answer = Client(server.address, cookie="none").get(f"/?token={server.studio.keys.token}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert "HttpOnly; SameSite=Strict; Path=/" in answer.headers["set-cookie"]
    assert server.studio.keys.token not in answer.headers["set-cookie"]


def test_a_link_on_another_page_leads_on_by_a_page(server: Server) -> None:
    """The browser would not send a strict cookie along with that page's own redirect."""
    path, site = f"/?token={server.studio.keys.token}", {"Sec-Fetch-Site": "cross-site"}
    answer = Client(server.address, cookie="none").get(path, headers=site)
    assert answer.status == 200 and b'http-equiv="refresh"' in answer.body
    assert "set-cookie" in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Cookie": ""}, 403),
        ({"Cookie": "{name}=wrong"}, 403),
        ({"Cookie": "other={value}"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:{port}"}, 421),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 421),
        ({"Host": "127.0.0.1:{port}@evil.example"}, 421),
        ({"Host": "10.0.0.1:{port}"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "file://"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "localhost:9000"}, 200),  # through a tunnel from another port
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:{port}"}, 200),
    ],
)
def test_who_is_let_in(client: Client, headers: dict[str, str], status: int) -> None:
    name, _, value = client.usual["Cookie"].partition("=")
    known = {"name": name, "value": value, "port": client.port}
    given = client.usual | {key: text.format(**known) for key, text in headers.items()}
    answer = client.get("/api/runs", headers=given)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    if "Host" not in headers:
        changed = {name: given[name] for name in headers}
        path = f"/api/runs/{client.run()}/watch"
        assert _upgrade(client, path, changed) == (101 if status == 200 else 403)


def _upgrade(client: Client, path: str, headers: dict[str, str]) -> int:
    """The status of the answer to a WebSocket."""
    try:
        with client.socket(path, **headers):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


@pytest.mark.parametrize("token", ["", "wrong", "é", "%00", "a" * 10_000])
def test_a_wrong_token_gives_no_cookie(server: Server, token: str) -> None:
    answer = Client(server.address, cookie="none").get(f"/?token={quote(token)}")
    assert answer.status == 403 and "set-cookie" not in answer.headers


def test_every_answer_has_the_headers(client: Client) -> None:
    for path in ("/api/runs", "/api/none", "/", "/static/none", "/api/runs/x/map"):
        for headers in (None, {}):
            found = client.get(path, headers=headers).headers
            assert found["content-security-policy"].startswith("default-src 'self'"), path
            assert "unsafe" not in found["content-security-policy"]
            assert (found["x-content-type-options"], found["x-frame-options"]) == (
                "nosniff",
                "DENY",
            )
            assert "server" not in found


def test_other_methods_are_refused(client: Client) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        answer = client.request(method, "/api/runs")
        assert answer.status == 405 and "access-control-allow-origin" not in answer.headers


def test_on_all_addresses_any_address_is_the_servers_name_but_no_other_name() -> None:
    guard = Guard(lambda *_: None, Keys(), "0.0.0.0", 1)  # pyright: ignore
    known = ("10.1.2.3:80", "localhost", "[::1]:80")
    assert all(guard._own_host(host) for host in known)
    assert not any(
        guard._own_host(host) for host in ("evil.example", "10.1.2.3.example", "", "a b")
    )


PATHS = [
    "/api/runs/{}/map",
    "/api/runs/{}/health",
    "/api/runs/{}/frames",
    "/api/runs/{}/rewards",
    "/api/runs/{}/choices",
    "/api/runs/{}/films/trained/0.webp",
    "/api/runs/ID/map?condition={}",
    "/api/runs/ID/films/{}/0.webp",
    "/api/runs/ID/films/trained/{}.webp",
    "/api/runs/ID/films/trained/0.{}",
    "/api/runs/ID/films/trained/0.webp{}",
    "/api/runs/ID/files/{}/film-v1-0123456789abcdef.webp",
    "/api/runs/ID/files/0123456789abcdef/{}",
    "/api/runs/ID/files/0123456789abcdef/{}.webp",
    "/api/jobs/{}",
    "/static/{}",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_parameter_leads_to_another_file(client: Client, path: str) -> None:
    run = client.run()
    for outside in OUTSIDE:
        for given in (outside.replace("\x00", "%00"), quote(outside, safe="")):
            found = client.get(path.replace("ID", run).format(given.replace(" ", "%20")))
            assert b"root:" not in found.body
            assert found.status in (400, 404, 405, 403) or given in ("", "."), (path, given, found)


def test_nothing_is_read_through_a_link_in_the_cache(client: Client, runs: Path) -> None:
    run, key, name = client.run(), "0123456789abcdef", "film-v1-0123456789abcdef.webp"
    folder = next(runs.iterdir()) / "studio"
    folder.mkdir(exist_ok=True)
    (folder / key).mkdir()
    (folder / key / name).symlink_to("/etc/passwd")
    (folder / "fedcba9876543210").symlink_to("/etc")
    for path in (f"{key}/{name}", "fedcba9876543210/passwd", f"fedcba9876543210/{name}"):
        assert client.get(f"/api/runs/{run}/files/{path}").status == 404


def test_a_name_is_never_html(client: Client) -> None:
    answer = client.get("/api/runs")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["runs"][0]["title"] == "<img src=x onerror=alert(1)>"
    for path in ("/api/runs/<script>/map", "/<script>", "/api/jobs/<img src=x>"):
        found = client.get(quote(path))
        assert b"<script>" not in found.body and b"<img" not in found.body


BODIES: list[tuple[str, bytes, int]] = [
    ("application/json", b"{", 400),
    ("application/json", b"[" * 60_000, 400),
    ("application/json", b"[]", 400),
    ("application/json", b"null", 400),
    ("application/json", b'"score"', 400),
    ("application/json", b"\xff\xfe", 400),
    ("application/json", b"{}", 400),
    ("application/json", b'{"score": 1, "skill": "a", "kind": "file"}', 400),
    ("application/json", b'{"skill": NaN, "score": Infinity, "kind": NaN}', 400),
    ("application/json", b'{"skill": 1e999, "score": [], "kind": {}}', 400),
    ("application/json", b'{"skill": -1, "score": null, "kind": "point"}', 400),
    ("application/json", b" " * 70_000, 413),
    ("text/plain", b"{}", 415),
    ("multipart/form-data; boundary=x", b"--x--", 415),
    ("", b"{}", 415),
]


@pytest.mark.parametrize(("kind", "body", "status"), BODIES)
def test_bodies_that_are_refused(client: Client, kind: str, body: bytes, status: int) -> None:
    run = f"/api/runs/{client.run()}"
    for path in (f"{run}/compare", f"{run}/imagine", f"{run}/prompt", f"{run}/film"):
        answer = client.request("POST", path, body, client.usual | {"Content-Type": kind})
        assert answer.status == status, (path, answer)
        assert {"error", "what", "do"} <= answer.json.keys()


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("image/png", b"GIF89a", 415),
        ("image/png", b"<svg onload=alert(1)>", 415),
        ("image/svg+xml", b"<svg/>", 415),
        ("image/jpeg", b"\xff\xd8\xff" + bytes(5 * 2**20), 413),
    ],
)
def test_pictures_that_are_refused(client: Client, kind: str, body: bytes, status: int) -> None:
    path = f"/api/runs/{client.run()}/prompt"
    assert (
        client.request("POST", path, body, client.usual | {"Content-Type": kind}).status == status
    )


@pytest.mark.parametrize(
    ("length", "status"),
    [("-1", 400), ("1e3", 400), ("9" * 23, 400), ("0x10", 400), ("9" * 12, 413), ("70000", 413)],
)
def test_lengths_that_lie(client: Client, length: str, status: int) -> None:
    head = _posted(client, f"Content-Length: {length}")
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as line:
        line.sendall(head + b"{}")  # at once: a part that comes after the refusal resets the line
        assert line.recv(4096).split()[1] == str(status).encode()


def _posted(client: Client, header: str) -> bytes:
    """The head of a request with one more header, which tells of its body."""
    lines = (
        f"POST /api/runs/{client.run()}/compare HTTP/1.1",
        f"Host: 127.0.0.1\r\nCookie: {client.usual['Cookie']}",
        f"Content-Type: application/json\r\n{header}\r\n\r\n",
    )
    return "\r\n".join(lines).encode()


def test_a_body_without_length_is_read_no_further_than_allowed(client: Client) -> None:
    head = _posted(client, "Transfer-Encoding: chunked")
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as line:
        line.sendall(head)
        with suppress(OSError):  # it may hang up after its answer
            for _ in range(3000):
                line.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")
                if select.select([line], [], [], 0)[0]:
                    break
        assert b" 413 " in line.recv(4096)


MESSAGES: list[str | bytes] = [
    "{", "[]", "null", "[" * 50_000, "{}", b"\x00\xff", '{"type": 1}', '{"type": "open"}',
    '{"type": "start"}', '{"type": "start", "score": []}', '{"type": "start", "score": {}}',
    '{"type": "start", "score": {"moves": []}}', '{"type": "skill", "skill": "x"}',
    '{"type": "start", "score": {"moves": [{"skill": 9999, "steps": 5}]}}',
    '{"type": "start", "score": {"moves": [{"skill": 0, "steps": 1e12}]}}',
    '{"type": "start", "score": {"moves": [{"skill": 0, "steps": 5}]}, "size": 100000}',
    '{"type": "start", "score": {"moves": [{"skill": 0, "steps": 5}]}, "speed": NaN}',
]  # fmt: skip


def test_malformed_messages_are_answered_and_the_next_one_is_understood(client: Client) -> None:
    with client.socket(f"/api/runs/{client.run()}/perform") as socket:
        for message in MESSAGES:
            socket.send(message)
            found = toy_studio.told(socket, "error")
            assert found["error"] and "Traceback" not in json.dumps(found), message
        socket.send(json.dumps({"type": "start", "score": toy_studio.score((0, 3)), "speed": 0}))
        assert toy_studio.told(socket, "ended", "error")["type"] == "ended"


def test_a_message_that_is_too_long_ends_the_socket(client: Client) -> None:
    with client.socket(f"/api/runs/{client.run()}/perform") as socket:
        socket.send(" " * 70_000)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=toy_studio.WAIT)
        assert socket.close_code == 1009


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", None),
        ("bytes=0-3", (0, 3)),
        ("bytes=4-", (4, 9)),
        ("bytes=-2", (8, 9)),
        ("bytes=-20", (0, 9)),
        ("bytes=2-99", (2, 9)),
        ("bytes=12-14", None),
        ("bytes=3-1", None),
        ("bytes=a-b", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        (f"bytes=0-{'9' * 400}", None),
    ],
)
def test_ranges_of_a_film(header: str, found: tuple[int, int] | None) -> None:
    assert range_of(header, 10) == found
