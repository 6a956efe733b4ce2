"""Data sets of whole episodes, played by chance or by an agent, in ExORL's layout.

Episodes are played in rounds, each by one process from seeds of its own. So a folder of episodes is
the same whatever number of processes fill it, and wherever they were killed meanwhile.
"""

import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from choreo.agent import find_checkpoint
from choreo.data.card import is_begun, read_card, write_card
from choreo.data.claim import claimed
from choreo.data.formats.exorl import episode_path, list_episodes, remove_leftovers, save_episode
from choreo.envs import EnvSpec
from choreo.errors import ChoreoError, UsageError
from choreo.record import checkpoint, versions
from choreo.record.run_folder import flatten
from choreo.stopping import leave_to_parent
from choreo.training.players import Plan, Player

Progress = Callable[[int], None]
"""Told the frames recorded so far."""


@dataclass(frozen=True)
class Collected:
    """What a folder holds; the frames are steps times the action repeat."""

    episodes: int
    steps: int
    frames: int


def collect(
    plan: Plan,
    folder: Path,
    frames: int,
    processes: int = 1,
    progress: Progress | None = None,
    command: tuple[str, ...] = (),
) -> Collected:
    """Record whole episodes until there are at least `frames` frames.

    Every episode is one file, written when it has ended. The same call goes on where whole
    episodes end, also with more frames, and gives bitwise the files of a call never interrupted.
    `processes` play at once; a script that asks for several needs the usual guard of its
    `__main__`, as each of them imports it.

    Args:
        plan: who plays what.
        folder: new, empty, or begun by the same plan.
        frames: to record at least.
        processes: how many play at once; 0 is one per core.
        progress: told the frames that were recorded.
        command: what the data card says this was made with.

    Raises:
        UsageError: the folder holds something else, another process is recording into it, episodes
            may never end, or the policy does not fit the environment.
        NotFinite: environment or agent gave NaN.
        StorageError: the disk is full.
    """
    if frames < 1 or processes < 0:
        raise UsageError(f"frames ({frames}) is at least 1, processes ({processes}) at least 0")
    player = Player(plan)
    try:
        recording = _Recording(plan, player.spec, Path(folder), frames, progress)
        with claimed(recording.folder):
            recording.open(list(command))
            count = processes or len(os.sched_getaffinity(0))
            if count == 1:
                recording.play(player)
            else:
                recording.play_in_processes(min(count, recording.rounds_left()))
            return recording.finish()
    finally:
        player.close()


@dataclass
class _Recording:
    """The folder that is being filled: which episodes are there and which is next."""

    plan: Plan
    spec: EnvSpec
    folder: Path
    frames: int
    progress: Progress | None
    lengths: dict[int, int] = field(default_factory=dict)
    """Steps of every whole episode on disk."""
    playing: set[int] = field(default_factory=set)
    """Numbers of the rounds that a process is at."""

    @property
    def steps(self) -> int:
        """Steps wanted."""
        return math.ceil(self.frames / self.spec.action_repeat)

    @property
    def limit(self) -> int:
        """Most steps of an episode."""
        assert self.spec.episode_steps is not None
        return self.spec.episode_steps

    def open(self, command: list[str]) -> None:
        """Make the folder, or see that the same plan began it."""
        described = {"plan": self.plan.to_json(), "agent_sha256": _hash_agent(self.plan)}
        wanted = json.loads(json.dumps(described))  # as a card is read back
        if is_begun(self.folder):
            _check_same(self.folder, wanted, self.frames)
        card = {
            "kind": "episodes",
            "spec": self.spec.to_json(),
            "collected": wanted,
            "frames_wanted": self.frames,
            "command": command,
            "versions": versions(),
        }
        write_card(self.folder, card)
        remove_leftovers(self.folder)
        self.lengths = list_episodes(self.folder)
        self._tell()

    def next_round(self) -> int | None:
        """The first round to be played; None while or as soon as there is none to begin.

        A round is begun only when the episodes before it cannot be enough, however long those that
        are being played will be.
        """
        steps, number, size = 0, 0, self.plan.environments
        while steps < self.steps:
            episodes = range(number * size, (number + 1) * size)
            if number not in self.playing and any(i not in self.lengths for i in episodes):
                return number
            steps += sum(self.lengths.get(i, self.limit) for i in episodes)
            number += 1
        return None

    def rounds_left(self) -> int:
        """How many rounds are at least needed, 1 or more."""
        left = self.steps - sum(self.lengths.values())
        return max(1, math.ceil(left / (self.limit * self.plan.environments)))

    def play(self, player: Player) -> None:
        """Play what is missing in this process."""
        with _one_thread():
            while (number := self.next_round()) is not None:
                self._note(save_round(player, self.folder, number, self.lengths.keys()))

    def play_in_processes(self, count: int) -> None:
        """Play what is missing in `count` processes."""
        flying: dict[Future[dict[int, int]], int] = {}
        with _pool(count) as pool:
            while True:
                while len(flying) < count and (number := self.next_round()) is not None:
                    self.playing.add(number)
                    there = frozenset(self.lengths)
                    flying[pool.submit(_save_round, self.plan, self.folder, number, there)] = number
                if not flying:
                    return
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    self._note(future.result())
                    self.playing.discard(flying.pop(future))

    def finish(self) -> Collected:
        """Remove what the last round played beyond the frames wanted, and count."""
        steps = episodes = 0
        for number, length in sorted(self.lengths.items()):
            if steps >= self.steps:
                episode_path(self.folder, number, length).unlink()
            else:
                steps, episodes = steps + length, episodes + 1
        return Collected(episodes, steps, steps * self.spec.action_repeat)

    def _note(self, lengths: dict[int, int]) -> None:
        self.lengths |= lengths
        self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(sum(self.lengths.values()) * self.spec.action_repeat)


def save_round(player: Player, folder: Path, number: int, there: Collection[int]) -> dict[int, int]:
    """Play a round and write its episodes but for those `there`; returns steps by number."""
    lengths = {}
    for episode, arrays in player.play(number):
        lengths[episode] = len(arrays["action"]) - 1
        if episode not in there:
            save_episode(episode_path(folder, episode, lengths[episode]), arrays)
    return lengths


@cache
def _player(plan: Plan) -> Player:
    """The player of this process, which is made once."""
    return Player(plan)


def _save_round(plan: Plan, folder: Path, number: int, there: frozenset[int]) -> dict[int, int]:
    return save_round(_player(plan), folder, number, there)


def _start_process(lifeline: Connection) -> None:
    """Let a new process end with its parent or when told, and calculate in one thread."""
    leave_to_parent()
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    torch.set_num_threads(1)


def _end_with(lifeline: Connection) -> None:
    """End this process once the other end is closed or dead; files are written whole or not."""
    lifeline.poll(None)
    os._exit(1)


@contextmanager
def _pool(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes to play in, ended at once when the block is left by an error or by a kill.

    A process that dies is an error that says what to do.
    """
    spawn = get_context("spawn")
    theirs, ours = spawn.Pipe(duplex=False)
    with theirs, ours:
        pool = ProcessPoolExecutor(count, spawn, _start_process, (theirs,))
        try:
            yield pool
        except BaseException as error:
            ours.close()
            if not isinstance(error, BrokenProcessPool):
                raise
            raise ChoreoError(
                "A process that played episodes died. If the machine ran out of memory, use fewer"
                " --processes; the same command goes on after the last whole episode."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Calculate in one thread, as in a process of its own: sums are then the same to the bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _hash_agent(plan: Plan) -> str | None:
    if plan.agent is None:
        return None
    with (find_checkpoint(plan.agent) / checkpoint.TENSORS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_same(folder: Path, wanted: dict[str, Any], frames: int) -> None:
    """Refuse a folder that holds anything but the beginning of what is wanted."""
    card = read_card(folder)
    if card is None or "collected" not in card:
        raise UsageError(
            f"{folder} holds something else than collected episodes. Give a new folder."
        )
    old, new = flatten(card["collected"]), flatten(wanted)
    differ = [name for name in old.keys() | new.keys() if old.get(name) != new.get(name)]
    lines = [f"  {name}: found {old.get(name)}, wanted {new.get(name)}" for name in sorted(differ)]
    if lines:
        raise UsageError(
            f"{folder} was begun otherwise:\n" + "\n".join(lines) + "\nGive a new folder, or the"
            " same options (and the same checkpoint) to go on."
        )
    if frames < card["frames_wanted"]:
        raise UsageError(
            f"{folder} was begun for {card['frames_wanted']} frames, and {frames} are fewer. Give"
            " as many or more, or a new folder."
        )
