"""A live performance in a worker: receive, step, send, at the simulator's own pace."""

import io
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from choreo.errors import RendererUnavailable
from choreo.evaluation.axes import Axes
from choreo.evaluation.choreography import Score
from choreo.evaluation.performance import STEP_SECONDS, Performance, Performed
from choreo.evaluation.performance import perform as play
from choreo.studio.wire import Line, Message

if TYPE_CHECKING:
    from choreo.studio.desk import Opened

AHEAD = 32  # steps that may be on their way to a client [ours]
FRAMES = 4  # pictures among them [ours]
QUALITY = 80  # of JPEG [ours]
ALIVE_SECONDS = 5.0  # between signs of life while paused


class Hand:
    """What the client wants now: which skill, how fast, whether to go on."""

    def __init__(self, line: Line, seconds: float, speed: float) -> None:
        self.line, self.usual = line, seconds
        self.seconds = seconds / speed if speed else 0.0  # of a step
        self.skill: int | None = None
        self.size: int | None = None  # of pictures, in pixels
        self.paused, self.stopped, self._left_out = False, False, False
        self.sent = self.taken = 0  # steps
        self._frames: list[int] = []  # steps whose picture is under way
        self._due = time.monotonic()

    def size_now(self) -> int | None:
        """Size of the next picture, or None for none.

        None while the client has not taken the last ones; and where drawing cannot keep the pace,
        for every other step.
        """
        late = self.seconds > 0 and time.monotonic() - self._due > self.seconds / 2
        self._left_out = late and not self._left_out
        return None if self._left_out or len(self._frames) >= FRAMES else self.size

    def await_turn(self) -> None:
        """Wait until the next step is due, and do what the client says meanwhile."""
        self._due = max(self._due + self.seconds, time.monotonic() - self.seconds)
        told = time.monotonic()
        while not self.stopped:
            blocked = self.paused or self.sent - self.taken >= AHEAD
            left = self._due - time.monotonic()
            if not blocked and left <= 0 and not self.line.waits():
                return
            if self.line.waits(ALIVE_SECONDS if blocked else left):
                self._take(self.line.receive()[0])
            elif blocked and time.monotonic() - told >= ALIVE_SECONDS:
                self.line.send({"type": "alive"})
                told = time.monotonic()

    def send(self, message: Message, frame: bytes) -> None:
        """Send a step, with its picture where there is one."""
        self.line.send(message, frame)
        self.sent += 1
        if frame:
            self._frames.append(self.sent)

    def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind == "taken":
            self.taken = message["count"]
            self._frames = [count for count in self._frames if count > self.taken]
        elif kind == "skill":
            self.skill = message["skill"]
        elif kind == "speed":
            self.seconds = self.usual / message["speed"] if message["speed"] else 0.0
        else:
            self.stopped |= kind == "stop"
            self.paused = kind == "pause"


def perform(opened: "Opened", message: Message, line: Line) -> dict[str, Any]:
    """Play a score in the run's simulator and send every step as it is taken."""
    params, vector, axes = message["params"], opened.one(), opened.axes(message)
    seconds = vector.spec.step_seconds or STEP_SECONDS
    hand = Hand(line, seconds, params["speed"])
    hand.size, why = (params["size"], None) if params["draws"] else (None, params["why_not"])
    agent, policy = opened.actor(message)
    playing = play(agent, vector, Score.from_json(params["score"]), hand.size, policy=policy)
    try:
        first = next(playing)
    except RendererUnavailable as error:
        hand.size, why = None, str(error)
        playing = play(agent, vector, Score.from_json(params["score"]), policy=policy)
        first = next(playing)
    line.send({
        "type": "ready",
        "renders": hand.size is not None,
        "why_not": why,
        "steps_per_second": 1 / seconds,
        "checkpoint": opened.identity,
    })  # fmt: skip
    return _play(hand, first, playing, axes)


def _play(hand: Hand, first: Performed, playing: Performance, axes: Axes | None) -> dict[str, Any]:
    total, one = 0.0, first
    while True:
        hand.send(_told(one, axes), b"" if one.frame is None else jpeg(one.frame))
        total += one.reward
        hand.await_turn()
        playing.switch(hand.skill)
        playing.picture_size = hand.size_now()
        found = None if hand.stopped else next(playing, None)
        if found is None:
            return {"return": total, "steps": one.step}
        one = found


def _told(one: Performed, axes: Axes | None) -> Message:
    places = None
    if axes is not None:
        seen = {key: value[None] for key, value in one.observation.items()}
        places = axes.of_steps(seen, one.coordinates[None] if len(one.coordinates) else None)
    elif len(one.coordinates) > 1:
        places = one.coordinates[None, :2]
    return {
        "type": "step",
        "step": one.step,
        "move": one.move,
        "skill": one.skill,
        "reward": one.reward,
        "at": None if places is None else [round(float(value), 5) for value in places[0]],
        "frame": one.frame is not None,
    }


def jpeg(frame: np.ndarray) -> bytes:
    """A picture uint8 (H, W, 3) as JPEG."""
    target = io.BytesIO()
    Image.fromarray(frame).save(target, "JPEG", quality=QUALITY)
    return target.getvalue()
