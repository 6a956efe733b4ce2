"""The system's Chromium for tests of the page; they are skipped where there is none."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="without playwright the page is not tested in a browser"
)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 20_000  # milliseconds for anything to appear, on a busy machine


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("there is no Chromium (apt-get install chromium) to test the page in")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


@contextmanager
def tab(browser: Any, address: str, complains: bool = False, **how: Any) -> Iterator[Any]:
    """A tab of its own on an address; fails where the console has an error, unless it may.

    Films stand still unless told otherwise, which spares a small machine.
    """
    said: list[str] = []
    usual = {"viewport": {"width": 1200, "height": 900}, "reduced_motion": "reduce"}
    context = browser.new_context(**usual | how)
    context.set_default_timeout(PATIENCE)
    playwright.expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    page.on("console", lambda line: said.append(line.text) if _is_complaint(line) else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
    page.goto(address)
    yield page
    context.close()
    assert complains or not said, said


def _is_complaint(line: Any) -> bool:
    """Whether a line of the console is one; that a dream cannot be drawn is an answer, 404."""
    undrawn = "status of 404" in line.text and "/api/jobs/" in line.location["url"]
    return line.type in ("error", "warning") and not undrawn


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def fake_studio() -> Iterator[str]:
    """The stand-in server in a process of its own; gives its address."""
    port = free_port()
    script = Path(__file__).with_name("fake_studio.py")
    process = subprocess.Popen([sys.executable, str(script), str(port)])
    try:
        address = f"http://127.0.0.1:{port}/"
        _await_answer(address, process)
        yield address
    finally:
        process.kill()
        process.wait()


def _await_answer(address: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(address):
                return
        except urllib.error.URLError:
            assert process.poll() is None, "the server did not start"
            time.sleep(0.1)
    raise AssertionError("the server does not answer")
