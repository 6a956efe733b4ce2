"""The program of a worker: `python -P -m choreo.studio.worker FD PARENT`, as that of environments.

It opens runs, computes figures and plays simulators, one request after the other. It ends when the
server hangs up or dies.
"""

import socket
import sys
import time
import traceback
from contextlib import suppress
from typing import Any

from choreo.envs.vector.worker import MAIN, end_with
from choreo.errors import ChoreoError
from choreo.stopping import leave_to_parent
from choreo.studio.refusal import refusal_of
from choreo.studio.wire import Line

TOLD_EVERY = 0.2  # seconds between two reports of progress [ours]


def main() -> None:
    """Answer requests until the server is gone."""
    leave_to_parent()
    end_with(int(sys.argv[2]), by_main_thread=MAIN in sys.argv)
    line = Line(socket.socket(fileno=int(sys.argv[1])))
    from choreo.studio.desk import Desk  # brings torch: what came before has to be quick

    desk = Desk()
    with suppress(EOFError, OSError):
        while True:
            message, data = line.receive()
            if "task" in message:  # else for a performance that was over already
                _answer(line, desk, message, data)


def _answer(line: Line, desk: Any, message: dict[str, Any], data: bytes) -> None:
    try:
        reply = {"type": "done", "result": desk.do(line, message, data, Teller(line))}
    except (EOFError, OSError) as error:
        if isinstance(error, EOFError):
            raise
        reply = _failed(error)
    except Exception as error:
        reply = _failed(error)
    line.send(reply)


def _failed(error: Exception) -> dict[str, Any]:
    if not isinstance(error, ChoreoError):
        traceback.print_exc()
    refused = refusal_of(error)
    return {"type": "error", "status": refused.status, "error": refused.to_json()}


class Teller:
    """Tells the server how far a figure is, not more often than anybody wants to know."""

    def __init__(self, line: Line) -> None:
        self._line, self._last, self._stage = line, 0.0, ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and done < total and now - self._last < TOLD_EVERY:
            return
        self._last, self._stage = now, stage
        self._line.send({"type": "progress", "stage": stage, "done": done, "total": total})


if __name__ == "__main__":
    main()
