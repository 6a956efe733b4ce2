"""`choreo studio`."""

import os
import sys
import tempfile
import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import tyro

from choreo.errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
NEEDED = ("fastapi", "uvicorn", "websockets")


@dataclass(frozen=True, kw_only=True)
class StudioOptions:
    """Open the studio: a page on which to see, string and steer the skills of runs."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, checkpoint, pack, or a folder that holds runs; hf://OWNER/NAME@REVISION is a pack
    on a hub."""
    port: int | None = None
    """Port to listen on; None is 8421, or the next that is free, and 0 any that is free."""
    host: str = "127.0.0.1"
    """Address to listen on. The default can be reached from this machine alone; with any other
    one, whoever has the token and reaches it can use the page, and what goes over the network is
    not encrypted."""
    open: bool = True
    """Open the page in a browser, where this machine has a screen."""
    env: str | None = None
    """Environment; None is the one the agent was trained on. Where RUN holds several runs, those
    that name this environment may run its code (module:factory)."""
    trust: bool = False
    """Run the code that runs name as their environment (module:factory): only for runs of your
    own. Not needed with --env, nor where you have trained with the same code."""
    performers: int = 4
    """Simulators that play live at once, one for each tab or client; each takes about half a
    gigabyte of memory."""
    cache_gb: float = 1.0
    """Gigabytes of films and figures that are kept in each run folder (studio/); the oldest go
    first."""


def studio(arguments: list[str]) -> None:
    """`choreo studio RUN`."""
    options = tyro.cli(StudioOptions, args=arguments, prog="choreo studio")
    _check(options)
    from choreo.studio.server import Server
    from choreo.studio.settings import Settings

    settings = Settings(
        place=options.run,
        host=options.host,
        env=options.env,
        trust=options.trust,
        performers=options.performers,
        cache_bytes=round(options.cache_gb * 1e9),
    )
    server = Server(settings, options.port)
    with tempfile.TemporaryDirectory(prefix="choreo-studio-") as folder:
        server.serve(lambda: _tell(server.address, options, server.port, Path(folder)))


def _check(options: StudioOptions) -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the studio needs {', '.join(missing)}, which this installation lacks. Install the "
            "extra with: pip install 'choreo[studio]'"
        )
    if options.performers < 1:
        raise UsageError(f"--performers is {options.performers}; wanted is at least 1")
    if not 0.01 <= options.cache_gb <= 1e4:
        raise UsageError(f"--cache-gb is {options.cache_gb}; wanted is 0.01 to 10000")


def _tell(address: str, options: StudioOptions, port: int, folder: Path) -> None:
    """Print how the page is opened, and open it where there is a screen."""
    print(f"Studio: {address}", flush=True)
    tunnel = f"ssh -N -L {port}:127.0.0.1:{port} USER@THIS-MACHINE"
    if options.host not in LOOPBACK:
        print(
            f"warning: {options.host} can be reached by others: whoever learns the token can use "
            "the page, and nothing that is sent is encrypted. Safer: leave --host out and, where "
            f"the browser is, run: {tunnel}",
            file=sys.stderr,
            flush=True,
        )
    elif os.environ.get("SSH_CONNECTION"):
        print(f"From your own machine: {tunnel}, then open the address there.", flush=True)
    print("Ctrl-C ends it.", flush=True)
    if options.open and _has_screen():
        _open(address, folder)


def _has_screen() -> bool:
    shown = (
        sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    return bool(shown) and sys.stdout is not None and sys.stdout.isatty()


def _open(address: str, folder: Path) -> None:
    """Open the page by way of a file of this user's alone: arguments can be read by all users."""
    page = folder / "open.html"
    page.touch(0o600)
    page.write_text(f'<meta http-equiv="refresh" content="0; url={address}">', encoding="utf-8")
    with suppress(webbrowser.Error, OSError):
        webbrowser.open(page.as_uri())
