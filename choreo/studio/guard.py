"""Who may ask: the browser that was given the token, on this page, under this server's own name."""

import hmac
import ipaddress
import json
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from choreo.studio.refusal import Refusal

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
LOOPBACK = ("localhost", "127.0.0.1", "::1")
METHODS = ("GET", "HEAD", "POST")
OPEN_IT = "Open the address that `choreo studio` printed in its terminal, with its token."
DENIED = f"<!doctype html><html lang=en><title>Studio</title><p>Not open here. {OPEN_IT}</p>"
ONWARD = (
    "<!doctype html><html lang=en><title>Studio</title>"
    '<meta http-equiv="refresh" content="0; url=/"><p><a href="/">Open the studio</a></p>'
)
"""Where another page or a file has led here: a strict cookie goes only with what this page asks."""


@dataclass(frozen=True)
class Keys:
    """What opens the page: a token in the address once, then a secret in a cookie."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(24))


class Guard:
    """Stands before the application and lets nobody else through; sets headers on every answer."""

    def __init__(self, app: ASGIApp, keys: Keys, host: str, port: int) -> None:
        self.app, self.keys, self.host = app, keys, host
        self.cookie = f"choreo_studio_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse one request or WebSocket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._foreign(scope, headers)
        if refused is None and (token := _token(scope)) is not None:
            await self._enter(token, headers, _guarded(send))
        elif refused is None and self._known(headers):
            await self.app(scope, receive, _guarded(send))
        else:
            await _refuse(scope, receive, send, refused or Refusal(403, "Not open here.", OPEN_IT))

    def _foreign(self, scope: Scope, headers: Headers) -> Refusal | None:
        """Why a request comes from elsewhere; None for one that may be the page's own."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._own_host(hosts[0]):
            return Refusal(421, "This server does not go by that name.", OPEN_IT)
        if any(_netloc(origin) != hosts[0].lower() for origin in origins):
            return Refusal(403, "Another page asked for this.", OPEN_IT)
        if scope["path"] != "/" and headers.get("sec-fetch-site", "none") not in (
            "none",
            "same-origin",
        ):
            return Refusal(403, "Another page asked for this.", OPEN_IT)
        if scope["type"] == "http" and scope["method"] not in METHODS:
            return Refusal(405, "This method is not for use here.", "Use GET or POST.")
        return None

    def _own_host(self, host: str) -> bool:
        """Whether a Host header names this server; the port may be that of a tunnel.

        On all addresses of the machine, any address will do: only names can be bent to point here.
        """
        name = _hostname(host)
        if name is None:
            return False
        if name in LOOPBACK or name == self.host.lower():
            return True
        return self.host in ("0.0.0.0", "::") and _is_address(name)

    def _known(self, headers: Headers) -> bool:
        pairs = (one.strip().partition("=") for one in headers.get("cookie", "").split(";"))
        given = [value for name, _, value in pairs if name == self.cookie]
        return any(_same(value, self.keys.session) for value in given)

    async def _enter(self, token: str, headers: Headers, send: Send) -> None:
        """Give the cookie for the right token, and lead on to the page."""
        if not _same(token, self.keys.token):
            await _answer(send, 403, DENIED.encode(), b"text/html; charset=utf-8")
            return
        cookie = f"{self.cookie}={self.keys.session}; HttpOnly; SameSite=Strict; Path=/"
        extra = [(b"set-cookie", cookie.encode())]
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            extra.append((b"location", b"/"))
            await _answer(send, 303, b"", b"text/plain", extra)
        else:
            await _answer(send, 200, ONWARD.encode(), b"text/html; charset=utf-8", extra)


def _token(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
        return None
    try:
        found = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=8)
    except ValueError:
        return None
    return found["token"][0] if "token" in found else None


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def _hostname(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for what is no number
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return parts.hostname


def _netloc(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    plain = not (parts.path or parts.query or parts.fragment)
    return parts.netloc.lower() if plain and parts.scheme in ("http", "https") else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _guarded(send: Send) -> Send:
    """Add the headers that every answer has; what comes out of files or runs is kept by nobody."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message.get("headers", [])}
            usual = {**HEADERS, b"cache-control": b"no-store"}
            added = [(name, value) for name, value in usual.items() if name not in own]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return sending


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: Refusal) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    if scope["path"].startswith("/api"):
        body, kind = json.dumps(refused.to_json()).encode(), b"application/json"
    else:
        body, kind = DENIED.encode(), b"text/html; charset=utf-8"
    await _answer(_guarded(send), refused.status, body, kind)


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    kind: bytes,
    extra: list[tuple[bytes, bytes]] | None = None,
) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({
        "type": "http.response.start",
        "status": int(HTTPStatus(status)),
        "headers": [*headers, *(extra or [])],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": body})
