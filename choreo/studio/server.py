"""The server: a socket on this machine, an application on it, and an end when it is asked for."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import FrameType

import uvicorn

from choreo.errors import UsageError
from choreo.stopping import Stopped, handling
from choreo.studio.app import make_app
from choreo.studio.requests import MOST_JSON
from choreo.studio.settings import Settings
from choreo.studio.studio import Studio

PORT, PORTS = 8421, 20  # the first that is tried, and how many [ours]
CONNECTIONS = 256  # at once [ours]
END_SECONDS = 2  # for answers that are under way when the server ends


class Server:
    """A studio on a port: `address` opens it, `serve` runs it until a signal ends it."""

    def __init__(self, settings: Settings, port: int | None = None) -> None:
        self.settings, self.studio = settings, Studio(settings)
        self._socket = _bound(settings.host, port)
        self.port = int(self._socket.getsockname()[1])
        self._number: int | None = None
        self._uvicorn: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def address(self) -> str:
        """The address that opens the page, with its token."""
        host = self.settings.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        shown = f"[{shown}]" if ":" in shown else shown
        return f"http://{shown}:{self.port}/?token={self.studio.keys.token}"

    def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until a signal comes; `ready` is called once requests are answered.

        Raises Stopped with that signal, for its exit code.
        """
        with handling(self._asked):
            asyncio.run(self._serve(ready))
        if self._number is not None:
            raise Stopped(self._number, "studio closed")

    def close(self) -> None:
        """Give the port back without having served."""
        self._socket.close()

    def stop(self) -> None:
        """Have `serve` return; from any thread. Whatever plays or computes ends at once."""
        if self._uvicorn is not None and self._loop is not None:
            self._uvicorn.should_exit = True
            self._loop.call_soon_threadsafe(self.studio.close)

    async def _serve(self, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            make_app(self.studio, self.port),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=MOST_JSON,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            ws_per_message_deflate=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=END_SECONDS,
        )
        server = self._uvicorn = _Uvicorn(config)
        self._loop = asyncio.get_running_loop()
        if self._number is not None:  # asked to end before it began
            return
        server.ready = ready
        await server.serve(sockets=[self._socket])

    def _asked(self, number: int, _: FrameType | None) -> None:
        """A signal ends the server; the second one does not wait for answers under way."""
        if self._uvicorn is not None:
            self._uvicorn.force_exit = self._number is not None
            self.stop()
        self._number = number


class _Uvicorn(uvicorn.Server):
    """Without its own ideas of what signals do."""

    ready: Callable[[], None] = staticmethod(lambda: None)

    def capture_signals(self) -> AbstractContextManager[None]:  # pyright: ignore
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()


def _bound(host: str, port: int | None) -> socket.socket:
    """A socket that listens; without a given port on the first of some that is free."""
    if port is not None and not 0 <= port < 2**16:
        raise UsageError(f"--port is {port}; wanted is 0 to 65535: give another --port")
    tried = range(PORT, PORT + PORTS) if port is None else [port]
    for number in (*tried, *([0] if port is None else [])):
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            made = socket.create_server((host, number), family=family, backlog=128)
        except OSError as error:
            reason = error
            continue
        made.setblocking(False)
        return made
    words = (reason.strerror or str(reason)).partition(" (while")[0]  # without its own address
    place = host if port is None else f"{host}, port {port}"
    raise UsageError(f"the studio cannot listen on {place}: {words}. Give another --port or --host")
