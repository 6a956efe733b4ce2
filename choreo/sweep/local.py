"""Cells on this machine: a few threads, each with one command at a time."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from choreo.errors import UsageError
from choreo.sweep.board import Board
from choreo.sweep.work import run_cell

POLL = 2.0  # seconds after which the folder is looked at for what other sweeps have done [ours]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Wish:
    """What a sweep has been told: nothing, to save and stop, or to stop at once."""

    def __init__(self) -> None:
        self.now: Literal["", "save", "kill"] = ""
        self.changed = threading.Event()

    def say(self) -> None:
        """Ask to stop; asked twice, to stop at once."""
        self.now = "kill" if self.now else "save"
        self.changed.set()


def slots(
    workers: int | None, per_device: int | None, cores: int, devices: int
) -> list[dict[str, str]]:
    """Variables of the environment of every worker, which say how many threads and which device.

    By default a worker for every core, or where there are GPUs one for each of them.
    """
    if per_device is not None and not devices:
        raise UsageError("--per-device: there is no CUDA device here; use --workers")
    count = workers or (devices * (per_device or 1) if devices else cores)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",") if visible else [str(number) for number in range(devices)]
    threads = {name: os.environ.get(name, "1") for name in THREADS}
    if not devices:
        return [dict(threads) for _ in range(count)]
    if workers and per_device:
        count = min(workers, devices * per_device)
    return [{**threads, "CUDA_VISIBLE_DEVICES": names[n % devices]} for n in range(count)]


class LocalRunner:
    """Does the cells of a board in one thread per slot."""

    def __init__(self, board: Board, slots: Sequence[Mapping[str, str]], wish: Wish) -> None:
        self._board, self._slots, self._wish = board, slots, wish
        self._news = threading.Condition()
        self._errors: list[BaseException] = []

    def run(self, watch: Callable[[], None], every: float) -> None:
        """Work until nothing is left to do or the wish is to stop; `watch` is called meanwhile.

        Raises what went wrong outside the cells, as StorageError on a full disk; the others are
        saved first.
        """
        threads = [threading.Thread(target=self._work, args=(slot,)) for slot in self._slots]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(every)
                watch()
        if self._errors:
            raise self._errors[0]

    def _work(self, slot: Mapping[str, str]) -> None:
        try:
            while not self._wish.now:
                cell = self._board.take()
                if cell is None:
                    if self._board.finished():
                        return
                    with self._news:
                        self._news.wait(POLL)
                    continue
                outcome = run_cell(self._board.root, cell, slot, lambda: self._wish.now)
                self._board.put_back(cell, outcome)
                with self._news:
                    self._news.notify_all()
        except BaseException as error:
            self._errors.append(error)
            if not self._wish.now:
                self._wish.say()
