"""`choreo zeroshot`: whether skills find goals without adaptation."""

import importlib
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.table import Table

from choreo.agent import Agent
from choreo.cli.measure import MeasureOptions, fitting_vector, printed_table
from choreo.envs import VectorEnv, goal_sets
from choreo.errors import UsageError
from choreo.evaluation.goal import GoalReport, measure_goal
from choreo.evaluation.imagined import HORIZON, Choose, Reward, best_skill, skill_of_goal
from choreo.evaluation.zero_shot import (
    EPISODES,
    Chooser,
    Trial,
    ZeroShot,
    zero_shot,
    zero_shot_controls,
)
from choreo.record.progress import Stages
from choreo.report.goal_page import goal_table, goal_verdict, write_goal
from choreo.report.provenance import provenance_of, report_folder

TITLES = {
    "trained": "trained",
    "untrained": "untrained",
    "random": "random actions",
    "random_skills": "random skills",
}


@dataclass(frozen=True, kw_only=True)
class ZeroshotOptions(MeasureOptions):
    """Fraction of goals that skills find without adaptation (paper section 4.3)."""

    goal_set: str | None = None
    """Goal sets of mw_reach: one (3), several (0,3) or a range (0..9); 50 goals each. [paper]"""
    episodes: int | None = None
    """Episodes, or episodes per goal where there is a goal set; None is 100, or 1 per goal.
    [paper: 100]"""
    skill_steps: int | None = None
    """Agent steps after which another skill takes over; None is never, and 50 with goal sets.
    [paper]"""
    controls: bool = True
    """Compare with the untrained agent and with random actions. [ours]"""
    choose: Literal["random", "imagined"] = "random"
    """Which skill acts: one drawn at random [paper], or the one that the model prefers [ours]."""
    reward: str | None = None
    """For --choose imagined: module:function, from a dict of decoded observations (N, ...) (and the
    goal, where it takes two) to N rewards; for mw_reach from states
    choreo.envs.goal_sets:fingers_to_goal."""
    imagined_steps: int = HORIZON
    """For --reward: agent steps for which every skill is imagined. [ours]"""
    goal_image: Path | None = None
    """For --choose imagined, of an agent that sees one picture: PNG of the goal; the skill of the
    nearest code acts. How near each skill comes is measured too."""
    out: Path | None = None
    """For --goal-image: folder of goal.html and goal.json, with a film; None is goal/ beside the
    report of the run."""


@dataclass(frozen=True)
class Goals:
    """Goals of a test: the number of the set, the number within it, and what `set_goal` takes."""

    sets: list[int]
    numbers: list[int]
    given: list[np.ndarray]
    episodes: int

    @staticmethod
    def of_sets(sets: list[int], episodes: int) -> "Goals":
        """All goals of some sets, each for so many episodes in a row."""
        place = [(s, n) for s in sets for n in range(goal_sets.GOALS)]
        given = [goal for s in sets for goal in goal_sets.reach_episodes(s)]
        return Goals([s for s, _ in place], [n for _, n in place], given, episodes)

    def per_episode(self) -> list[np.ndarray]:
        """The goal of every episode."""
        return [goal for goal in self.given for _ in range(self.episodes)]

    def found(self, result: ZeroShot) -> list[int]:
        """In how many of its episodes each goal was found."""
        return np.reshape(result.found, (len(self.given), self.episodes)).sum(1).tolist()

    def to_json(self, results: dict[str, ZeroShot]) -> list[dict[str, Any]]:
        """One entry per goal."""
        found = {name: self.found(result) for name, result in results.items()}
        return [
            {
                "set": self.sets[i],
                "number": self.numbers[i],
                "position": goal[-3:].tolist(),
                "episodes": self.episodes,
                "found": {name: counts[i] for name, counts in found.items()},
            }
            for i, goal in enumerate(self.given)
        ]


def zeroshot(arguments: list[str]) -> None:
    """`choreo zeroshot RUN`."""
    options = tyro.cli(ZeroshotOptions, args=arguments, prog="choreo zeroshot")
    sets = _check(options)
    agent = options.agent()
    goals = _goals(options, agent, sets)
    chooser = _chooser(options, agent, goals)
    trial = _trial(options, goals)
    num = min(trial.episodes, 16)
    with fitting_vector(agent, options.env, num, options.run, trial.steps, options.trust) as vector:
        results = {"trained": zero_shot(agent, vector, options.seed, trial, "skill", chooser)}
        if options.controls:
            results |= zero_shot_controls(agent, vector, options.seed, trial, chooser)
        reached = _look_for_goal(options, agent, vector)
    if options.json:
        print(json.dumps(_to_json(results, goals, reached)))
        return
    console = Console(file=sys.stdout)
    if reached is not None:
        console.print(printed_table(goal_table(reached), "How near each skill comes"))
        print(goal_verdict(reached).sentence)
        print(_goal_folder(options) / "goal.html")
    if goals is not None:
        console.print(_goal_table(results, goals))
    console.print(_table(results))
    for sentence in _cautions(options, results):
        print(sentence)


def _look_for_goal(options: ZeroshotOptions, agent: Agent, vector: VectorEnv) -> GoalReport | None:
    """How near each skill comes to the goal image, with a page; None without one."""
    if options.goal_image is None:
        return None
    image = _read_image(options.goal_image, agent)
    with Stages() as tell:
        found = measure_goal(agent, vector, image, options.seed, options.time_limit, tell)
    about = provenance_of(options.run, agent)
    write_goal(found, image, agent, vector, _goal_folder(options), options.seed, about)
    return found


def _goal_folder(options: ZeroshotOptions) -> Path:
    return options.out or report_folder(options.run) / "goal"


def _cautions(options: ZeroshotOptions, results: dict[str, ZeroShot]) -> list[str]:
    """What `found` does not mean here."""
    said = []
    if options.goal_image is not None:
        said.append("found: by the environment's own reward, which knows nothing of the picture")
    judge = results.get("random", results["trained"])
    if judge.dense:
        who = "random actions" if "random" in results else "the skills"
        said.append(
            f"The reward is dense ({judge.rewarded_steps:.0%} of the steps of {who} are rewarded), "
            "so `found` says nothing here; `choreo evaluate` shows returns"
        )
    return said


def _check(options: ZeroshotOptions) -> list[int] | None:
    """Refuse what cannot be meant, before anything is loaded; the numbers of the goal sets."""
    if options.episodes is not None and options.episodes < 1:
        raise UsageError(f"--episodes {options.episodes}: at least 1 episode is needed")
    if options.skill_steps is not None and options.skill_steps < 1:
        raise UsageError(f"--skill-steps {options.skill_steps}: a skill lasts at least 1 step")
    for name in ("time_limit", "imagined_steps"):
        if (steps := getattr(options, name)) is not None and steps < 1:
            raise UsageError(f"--{name.replace('_', '-')} {steps}: at least 1 step is needed")
    wishes = [name for name in ("reward", "goal_image") if getattr(options, name) is not None]
    if options.choose == "random" and wishes:
        name = wishes[0].replace("_", "-")
        raise UsageError(f"--{name} is for choosing skills; add --choose imagined")
    if options.choose == "imagined" and len(wishes) != 1:
        raise UsageError(
            "--choose imagined needs one of --reward module:function and --goal-image PNG; found "
            f"{'both' if wishes else 'none'}"
        )
    return None if options.goal_set is None else goal_sets.parse_sets(options.goal_set)


def _goals(options: ZeroshotOptions, agent: Agent, sets: list[int] | None) -> Goals | None:
    if sets is None:
        return None
    env = options.env or agent.spec.id
    if env not in goal_sets.ENVIRONMENTS:
        raise UsageError(
            f"--goal-set {options.goal_set}: {env} has no goal sets; mw_reach has. Leave it out, "
            "or add --env mw_reach"
        )
    return Goals.of_sets(sets, options.episodes or 1)


def _trial(options: ZeroshotOptions, goals: Goals | None) -> Trial:
    if goals is None:
        return Trial(options.episodes or EPISODES, options.skill_steps, options.time_limit)
    return Trial(
        len(goals.given) * goals.episodes,
        options.skill_steps or goal_sets.SKILL_STEPS,
        goal_sets.STEPS if options.time_limit is None else options.time_limit,
        goals.per_episode(),
    )


def _chooser(options: ZeroshotOptions, agent: Agent, goals: Goals | None) -> Chooser | None:
    if options.goal_image is not None:
        image = _read_image(options.goal_image, agent)
        return lambda actor: _always(skill_of_goal(actor, image, options.seed))
    if options.reward is None:
        return None
    rewards = _rewards(_find_reward(options.reward), goals)
    return lambda actor: best_skill(actor, rewards, options.seed, options.imagined_steps)


def _always(skill: int) -> Choose:
    return lambda state, episode: skill


def _rewards(function: Callable[..., np.ndarray], goals: Goals | None) -> Callable[[int], Reward]:
    """The reward function of every episode, knowing the goal where it takes one."""
    takes_goal = len(inspect.signature(function).parameters) > 1
    given = None if goals is None else goals.per_episode()

    def reward_of(episode: int) -> Reward:
        goal = None if given is None else given[episode][-3:]
        return (lambda seen: function(seen, goal)) if takes_goal else function

    return reward_of


def _find_reward(name: str) -> Callable[..., np.ndarray]:
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        inspect.signature(function)
    except Exception as error:  # whatever a user's module raises while it is imported
        raise UsageError(
            f"--reward {name} is no function that can be called ({type(error).__name__}: {error}); "
            "write module:function, "
            "such as choreo.envs.goal_sets:fingers_to_goal"
        ) from error
    return function


def _read_image(path: Path, agent: Agent) -> dict[str, np.ndarray]:
    """A picture as the one observation of an agent, brought to its size."""
    spec = agent.spec
    size = next((image.shape[-1] for image in spec.images.values()), None)
    if [array.shape for array in spec.observations.values()] != [(3, size, size)]:
        seen = ", ".join(f"'{key}' {array}" for key, array in spec.observations.items())
        raise UsageError(f"--goal-image is for agents that see one coloured picture; found {seen}")
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise UsageError(f"--goal-image {path} is no picture that can be read: {error}") from error
    if image.width != image.height:
        raise UsageError(f"--goal-image {path} is {image.width} x {image.height}; wanted a square")
    assert size is not None
    if image.width != size:
        image = image.resize((size, size), Image.Resampling.BOX)
    return {next(iter(spec.images)): np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))}


def _to_json(
    results: dict[str, ZeroShot], goals: Goals | None, reached: GoalReport | None
) -> dict[str, Any]:
    data = results["trained"].to_json()
    data["dense_reward"] = results.get("random", results["trained"]).dense
    if reached is not None:
        data["goal"] = reached.to_json()
    if len(results) > 1:
        others = {name: result for name, result in results.items() if name != "trained"}
        data["controls"] = {name: result.to_json() for name, result in others.items()}
    if goals is not None:
        data["goals"] = goals.to_json(results)
    return data


def _table(results: dict[str, ZeroShot]) -> Table:
    trained = results["trained"]
    counted = f"{trained.steps} steps, {trained.frames} frames each"
    table = Table("who", "found", "of", "share", "95% interval", caption=counted)
    for name, result in results.items():
        low, high = result.interval95
        found, of = str(sum(result.found)), str(len(result.found))
        share = f"{result.fraction:.0%}"
        table.add_row(TITLES[name], found, of, share, f"{low:.0%} to {high:.0%}")
    return table


def _goal_table(results: dict[str, ZeroShot], goals: Goals) -> Table:
    who = [TITLES[name] for name in results]
    of = "" if goals.episodes == 1 else f"; found in how many of {goals.episodes} episodes"
    table = Table("set", "goal", "x, y, z (m)", *who, caption=f"{len(goals.given)} goals{of}")
    for entry in goals.to_json(results):
        place = ", ".join(f"{value:.2f}" for value in entry["position"])
        counts = [_shown(count, goals.episodes) for count in entry["found"].values()]
        table.add_row(str(entry["set"]), str(entry["number"]), place, *counts)
    return table


def _shown(count: int, episodes: int) -> str:
    return str(count) if episodes > 1 else "found" if count else "-"
