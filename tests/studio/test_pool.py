"""The pool of worker processes."""

import asyncio

import pytest

from choreo.studio import pool as pool_module
from choreo.studio.pool import Pool


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
