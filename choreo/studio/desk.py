"""What a worker has open: a few agents with their simulators, and what it can be asked for."""

import json
import math
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from choreo.agent import Agent, PolicyName, find_checkpoint, load
from choreo.envs.vector import VectorEnv
from choreo.evaluation.axes import Axes
from choreo.evaluation.choreography import MOST_STEPS as LONG
from choreo.evaluation.controls import untrained_agent
from choreo.evaluation.performance import open_stage
from choreo.evaluation.subject import fitting_vector, replay_of
from choreo.record import checkpoint
from choreo.record.progress import Tell
from choreo.replay import Replay
from choreo.runtime import keep_memory, set_threads
from choreo.studio import live, tasks
from choreo.studio.cache import Cache
from choreo.studio.wire import Line, Message

OPEN = 2  # agents that a worker holds, the one used longest ago goes first [ours]


@dataclass
class Opened:
    """One run: its agent as of one checkpoint, and the simulators made for it."""

    path: Path
    folder: Path
    env: str | None
    trust: bool
    agent: Agent
    identity: str
    simulates: bool = True
    _untrained: Agent | None = field(default=None, repr=False)
    _one: VectorEnv | None = field(default=None, repr=False)
    _axes: Axes | None = field(default=None, repr=False)
    _replay: Replay | None = field(default=None, repr=False)

    def actor(self, message: Message) -> tuple[Agent, PolicyName]:
        """Who acts under the condition that a request names, as on the map: trained unless said."""
        condition = message["params"].get("condition", "trained")
        if condition == "untrained" and self._untrained is None:
            self._untrained = untrained_agent(self.agent, 0)
        agent = self._untrained if condition == "untrained" else self.agent
        assert agent is not None
        return agent, "random" if condition == "random" else "skill"

    def vector(self, num: int) -> VectorEnv:
        """`num` fresh environments that fit the agent; to be closed."""
        return fitting_vector(self.agent, self.env, num, self.path, trust=self.trust)

    def one(self) -> VectorEnv:
        """The one environment that is kept for this run; no time limit that can be lifted."""
        if self._one is None:
            given = self.agent, self.env, 1, self.path
            self._one = open_stage(lambda limit: fitting_vector(*given, limit, self.trust), LONG)
        return self._one

    def simulator(self) -> VectorEnv | None:
        """The same, or None where there is none, or none that may be run."""
        return self.one() if self.simulates else None

    def axes(self, message: Message) -> Axes | None:
        """The axes of the map, once that is there."""
        if self._axes is None:
            with suppress(KeyError, TypeError, ValueError, IndexError, AttributeError):
                self._axes = Axes.from_json(self._map(message)["reading"])
        return self._axes

    def ends(self, message: Message) -> np.ndarray | None:
        """Where skills end up on the map (K, 2), once that is there."""
        with suppress(KeyError, TypeError, ValueError):
            condition = message["params"].get("condition", "trained")
            places = self._map(message)["maps"][condition]["skills"]
            return np.array([[float(place["x"]), float(place["y"])] for place in places])
        return None

    def _map(self, message: Message) -> dict[str, Any]:
        cache = Cache(self.folder, self.identity, message["cache_bytes"])
        return cache.read_json(message["map"]) or {}

    def replay(self) -> Replay | None:
        """The experience of the run, where it has one."""
        if self._replay is None:
            self._replay = replay_of(self.path)
        return self._replay

    def close(self) -> None:
        """Free the simulator and the experience."""
        for one in (self._one, self._replay):
            if one is not None:
                one.close()


class Desk:
    """Opens runs and does what it is asked for."""

    def __init__(self) -> None:
        keep_memory()
        set_threads(1)
        self._opened: OrderedDict[str, Opened] = OrderedDict()

    def do(self, line: Line, message: Message, data: bytes, tell: Tell) -> Any:
        """Answer one request: a figure that is kept, one that is not, or a performance."""
        task = message["task"]
        if task in tasks.WITHOUT_AGENT:
            return plain(tasks.WITHOUT_AGENT[task](message))
        opened = self.open(message)
        if task == "perform":
            return live.perform(opened, message, line)
        cache = Cache(opened.folder, opened.identity, message["cache_bytes"])
        return kept(opened, cache, message, data, tell)

    def open(self, message: Message) -> Opened:
        """The run that a request names, as of the wanted checkpoint, or else of the latest."""
        run, wanted = message["run"], message["identity"]
        found = self._opened.pop(run["path"], None)
        if found is not None and found.identity != wanted:
            found.close()
            found = None
        if found is None:
            while len(self._opened) >= OPEN:
                self._opened.popitem(last=False)[1].close()
            found = _open(run)
        self._opened[run["path"]] = found
        return found


def kept(opened: Opened, cache: Cache, message: Message, data: bytes, tell: Tell) -> dict[str, Any]:
    """Compute a figure unless another process has done so; the files lie in the cache."""
    name, figure = message["name"], tasks.FIGURES[message["task"]]
    with cache.alone(name, lambda: tell("waiting for another studio", 0, 1)):
        if cache.read_json(name) is None:
            made = figure(opened, message, data, tell)
            for ending, content in made.files.items():
                cache.write(name + ending, content)
            text = json.dumps(plain(made.result), allow_nan=False)
            cache.write(f"{name}.json", text.encode())
            cache.tidy()
    return {"identity": opened.identity}


def _open(run: Mapping[str, Any]) -> Opened:
    path = Path(run["path"])

    def read(found: Path) -> tuple[Agent, str]:
        return load(found), checkpoint.identity(found)

    agent, identity = checkpoint.steady(lambda: find_checkpoint(path), read)
    return Opened(
        path, Path(run["folder"]), run["env"], run["trust"], agent, identity, run["simulates"]
    )


def plain(value: Any) -> Any:
    """Values that JSON has: arrays as lists, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
