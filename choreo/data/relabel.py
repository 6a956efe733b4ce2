"""Another task's rewards for recorded episodes, worked out from their physics states.

As ExORL does it (github.com/denisyarats/exorl, replay_buffer.py; arXiv 2201.13425): every recorded
state is set in the task's simulator, and the task says what it gives for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from choreo.data.card import card_spec, is_begun, read_card, write_card, write_json
from choreo.data.claim import claimed
from choreo.data.episode import ACTION, DISCOUNT, REWARD, BadEpisode, Steps
from choreo.data.formats.exorl import PHYSICS, remove_leftovers, save_episode
from choreo.data.formats.npz import load
from choreo.data.formats.source import Skipped
from choreo.data.plan import PLACES, sampled_sha256
from choreo.envs import make
from choreo.envs.make import DOMAIN_TASKS, GOAL_DOMAIN
from choreo.errors import UsageError
from choreo.schema import Maybe, Named, in_words, problem, read_json

PROVENANCE = "relabel.json"
FORM = {
    "task": str,
    "source": str,
    "sampled_sha256": str,
    "recorded_in": Maybe(str),
    "versions": Maybe(Named(str)),
}
TOLERANCE = 1e-5  # by which an action may leave [-1, 1], as environments have it
PACKAGES = ("choreo", "mujoco", "dm-control", "numpy")

# The brick that these tasks reach for lies where the recorded task put it.
_BRICK = "jaco_reach_"


@dataclass(frozen=True)
class Relabelled:
    """How many episodes and steps got rewards, and the episodes' mean return."""

    episodes: int
    steps: int
    mean_return: float
    skipped: Skipped = field(default_factory=Skipped)


def relabel(
    source: Path,
    destination: Path,
    task: str,
    progress: Callable[[int, int], None] | None = None,
    skip_bad: bool = False,
) -> Relabelled:
    """Write the episodes of `source` to `destination` with the rewards of `task`.

    Reward and discount of row t are those of the state in row t, which the action of row t led to;
    row 0 has reward 0. All else stays as it is. Episodes already in `destination` stay, so the
    same call goes on after a kill. `progress` gets episodes done and episodes in all. With
    `skip_bad`, episodes that cannot be used are left out and counted.

    Raises:
        BadEpisode: an episode cannot be used, and `skip_bad` is not set.
        UsageError: the data hold no physics, or physics of something else; or their steps are
            several frames long; or the task's reward depends on more than the state; or another
            process is writing into `destination`.
        StorageError: the disk is full.
    """
    source, destination = Path(source), Path(destination)
    paths = sorted(source.glob("*.npz")) if source.is_dir() else []
    if not paths:
        raise UsageError(
            f"{source} holds no .npz episodes. Give a folder of episodes; of an imported set that "
            "keeps physics, `choreo data export` makes one."
        )
    card = read_card(source)
    _check_card(card, task, source)
    rewards = TaskRewards(task)
    try:
        if destination.resolve() == source.resolve():
            raise UsageError(
                f"{destination} is the source itself. Give another folder for the result."
            )
        with claimed(destination):
            _open_destination(source, destination, card, task)
            skipped = Skipped() if skip_bad else None
            return _relabel_all(paths, destination, rewards, progress, skipped)
    finally:
        rewards.close()


def _relabel_all(
    paths: list[Path],
    destination: Path,
    rewards: "TaskRewards",
    progress: Callable[[int, int], None] | None,
    skipped: Skipped | None,
) -> Relabelled:
    steps, returns = 0, []
    for done, path in enumerate(paths, 1):
        try:
            reward = _relabel_one(path, destination / path.name, rewards)
        except BadEpisode as error:
            if skipped is None:
                raise
            skipped.add(error)
        else:
            steps += len(reward) - 1
            returns.append(float(reward.sum(dtype=np.float64)))
        if progress is not None:
            progress(done, len(paths))
    skipped = skipped or Skipped()
    if not returns:
        raise UsageError(
            f"None of the {len(paths)} episodes of {paths[0].parent} can be used. The first: "
            f"{skipped.first[0]}."
        )
    return Relabelled(len(returns), steps, float(np.mean(returns)), skipped)


def _relabel_one(path: Path, target: Path, rewards: "TaskRewards") -> np.ndarray:
    """The rewards of one episode, which are written unless they are there already."""
    if target.exists():
        return load(target)[REWARD]
    arrays = rewards.relabel(load(path), str(path))
    save_episode(target, arrays)
    return arrays[REWARD]


class TaskRewards:
    """The rewards that a task gives for the states of recorded episodes."""

    def __init__(self, task: str) -> None:
        self._environment = make(task, action_repeat=1)
        self._environment.reset(0)
        state = self._environment.physics_state()
        if state is None:
            self.close()
            raise UsageError(
                f"{task} has no physics state to set. Give a task of dm_control, such as walker_run"
            )
        self._sizes = {PHYSICS: len(state), ACTION: self._environment.spec.action_size}

    def close(self) -> None:
        """Free the simulator."""
        self._environment.close()

    def relabel(self, arrays: Steps, origin: str) -> Steps:
        """Return the arrays of an episode, T + 1 rows each, with this task's reward and discount.

        `physics` (T + 1, P) and `action` (T + 1, A) must be among them. The two new ones have the
        shape of the old, (T + 1, 1) where there was none.

        Raises:
            BadEpisode: the arrays are missing, do not fit the task, or hold NaN.
        """
        self._check(arrays, origin)
        physics, action = arrays[PHYSICS].astype(np.float64), arrays[ACTION]
        reward, discount = np.zeros(len(physics)), np.ones(len(physics))
        for row in range(1, len(physics)):
            reward[row], terminal = self._environment.reward_at(physics[row], action[row])
            discount[row] = 0.0 if terminal else 1.0
        if not np.isfinite(reward).all():
            row = int(np.argmax(~np.isfinite(reward)))
            raise BadEpisode(origin, f"the reward of row {row} is {reward[row]}", "Remove it")
        new = {REWARD: reward.astype(np.float32), DISCOUNT: discount.astype(np.float32)}
        if "is_terminal" in arrays:
            new["is_terminal"] = discount == 0
        shapes = {name: np.shape(arrays.get(name, reward[:, None])) for name in new}
        return arrays | {name: value.reshape(shapes[name]) for name, value in new.items()}

    def _check(self, arrays: Steps, origin: str) -> None:
        missing = [name for name in self._sizes if name not in arrays]
        if missing:
            raise BadEpisode(
                origin,
                f"there is no {' and no '.join(missing)}, only {in_words(sorted(arrays))}",
                "Record it with `choreo data collect`, as rewards come from physics states",
            )
        for name, size in self._sizes.items():
            if arrays[name].ndim != 2 or arrays[name].shape[1] != size:
                raise BadEpisode(
                    origin,
                    f"'{name}' has shape {arrays[name].shape}, and {self._environment.spec.id}"
                    f" wants (rows, {size})",
                    "Give a task of the environment that was recorded",
                )
            if not np.isfinite(arrays[name]).all():
                raise BadEpisode(origin, f"'{name}' is NaN or infinite", "Repair it")
        rows = {name: len(arrays[name]) for name in self._sizes}
        if len(set(rows.values())) > 1 or not rows[PHYSICS]:
            raise BadEpisode(origin, f"it is cut short: its rows are {rows}", "Write it again")
        if np.abs(arrays[ACTION]).max() > 1 + TOLERANCE:
            raise BadEpisode(origin, "its actions leave [-1, 1]", "Scale them")


def _check_card(card: dict[str, Any] | None, task: str, source: Path) -> None:
    """Refuse what the card says cannot be done."""
    if card is None:
        return
    spec = card_spec(card, source)
    recorded_in, repeat = _environment(card), spec.action_repeat
    if repeat != 1:
        raise UsageError(
            f"{source} was recorded with {repeat} frames per step, whose rewards add up, and holds"
            " the state of the last of them only. Collect with --action-repeat 1 to relabel."
        )
    if recorded_in is None:
        return  # the size of the physics states has to tell
    if _domain(recorded_in) != _domain(task):
        raise UsageError(
            f"{source} was recorded in {recorded_in}, and {task} is of another domain. Give a task"
            f" of {_domain(recorded_in)}."
        )
    recorded, wanted = DOMAIN_TASKS.get(recorded_in, recorded_in), DOMAIN_TASKS.get(task, task)
    if recorded != wanted and recorded.startswith(_BRICK) and wanted.startswith(_BRICK):
        raise UsageError(
            f"the brick of {recorded} lies where that task put it, so {source} never shows the"
            f" target of {wanted}. Collect in jaco_fixed to relabel for other targets."
        )


def _environment(card: dict[str, Any]) -> str | None:
    """Where the episodes of a card were recorded; of exported sets, where they were at first."""
    own = card["spec"]["id"]
    return card.get("source", {}).get("environment") if own.startswith("data:") else own


def _domain(id: str) -> str:
    """The simulator that an id names, apart from its task."""
    name = id.removeprefix("dmc:")
    known = sorted((*DOMAIN_TASKS, GOAL_DOMAIN), key=len, reverse=True)
    own = (domain for domain in known if name == domain or name.startswith(f"{domain}_"))
    return next(own, name.split("-")[0])


def _provenance(path: Path) -> dict[str, Any]:
    """What an earlier start has noted of itself; nothing where there is no note."""
    try:
        found = read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}). Give a new folder.") from error
    if wrong := problem(found, FORM):
        raise UsageError(f"{path} is damaged: {wrong}. Give a new folder.")
    return found


def _open_destination(
    source: Path, destination: Path, card: dict[str, Any] | None, task: str
) -> None:
    """Make the folder with its cards, or see that it is one of the same source and task."""
    wanted = {
        "task": task,
        "source": str(source.resolve()),
        "sampled_sha256": sampled_sha256(sorted(source.glob("*.npz")), source),
        "recorded_in": None if card is None else _environment(card),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }
    provenance = destination / PROVENANCE
    if is_begun(destination):
        found = _provenance(provenance)
        moved = all(found.get(name) != wanted[name] for name in PLACES)
        if moved or found.get("task") != task:
            raise UsageError(
                f"{destination} holds something else than {source} relabelled for {task}. Give a"
                " new folder."
            )
        remove_leftovers(destination)
    write_json(provenance, wanted)
    if card is not None:
        write_card(destination, {**card, "spec": {**card["spec"], "id": task}})
