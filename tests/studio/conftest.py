"""One run and one server for most tests: workers take seconds to start."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import toy_runs

pytest.importorskip("uvicorn", reason="the extra `studio` is not installed")

import toy_studio

from choreo.studio.server import Server


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, whose name is that of a script."""
    folder = tmp_path_factory.mktemp("runs")
    toy_runs.pretrain(folder / "<img src=x onerror=alert(1)>", env="toy_envs:shown", frames=60)
    return folder


@pytest.fixture(scope="session")
def server(runs: Path) -> Iterator[Server]:
    with toy_studio.serving(runs, trust=True) as server:
        yield server


@pytest.fixture
def client(server: Server) -> toy_studio.Client:
    return toy_studio.Client(server.address)
