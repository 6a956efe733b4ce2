"""The pool of worker processes."""

import asyncio
import subprocess
from typing import Any

import pytest

from choreo.studio import pool as pool_module
from choreo.studio.pool import Pool, Worker, WorkerLost


def test_a_worker_that_takes_long_to_go_is_taken_leave_of_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a busy machine, where no zombie may be left."""
    monkeypatch.setattr(pool_module, "END_SECONDS", 0.0)

    async def use_one() -> int | None:
        pool = Pool(most=1, idle=0.04)
        async with pool.lease("a run") as worker:
            worker.at_rest = False  # in the middle of something, so it is ended
        for _ in range(500):
            if worker.process.returncode is not None:
                break
            await asyncio.sleep(0.01)
        pool.close()
        return worker.process.returncode

    assert asyncio.run(use_one()) == -9


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that the test starts."""
    processes: list[subprocess.Popen[bytes]] = []
    popen: Any = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        process = popen(*arguments, **options)
        processes.append(process)
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    return processes


def test_a_start_that_is_cancelled_leaves_no_process(
    begun: list[subprocess.Popen[bytes]],
) -> None:
    async def cancel() -> None:
        start = asyncio.create_task(Worker.start())
        await asyncio.sleep(0)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start

    asyncio.run(cancel())
    assert [process.returncode for process in begun] == [-9]


def test_a_pool_closed_while_a_worker_starts_ends_it(begun: list[subprocess.Popen[bytes]]) -> None:
    async def close() -> None:
        pool = Pool(most=1, idle=60.0)

        async def use_one() -> None:
            async with pool.lease("a run"):
                pytest.fail("a closed pool gave a worker")

        use = asyncio.create_task(use_one())
        await asyncio.sleep(0)
        pool.close()
        with pytest.raises(WorkerLost, match="has ended"):
            await use
        assert not pool.workers
        with pytest.raises(WorkerLost, match="has ended"):
            await use_one()

    asyncio.run(close())
    assert [process.returncode for process in begun] == [-9]
