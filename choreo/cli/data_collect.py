"""`choreo data collect` and `choreo data relabel`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from choreo.agent import find_checkpoint, load
from choreo.cli.data import tell_skipped
from choreo.cli.measure import environment_of
from choreo.data.relabel import relabel as relabel_episodes
from choreo.envs.spaces import Obs
from choreo.errors import UsageError
from choreo.record import Progress
from choreo.training.collect import collect as collect_episodes
from choreo.training.players import Plan, Which

RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class CollectOptions:
    """Record whole episodes, with physics states where there are any, in ExORL's layout."""

    destination: Annotated[Path, tyro.conf.Positional]
    """Folder for the episodes; one that this command began is gone on with."""
    frames: int
    """Simulator frames to record at least; the last episode is whole."""
    env: str | None = None
    """Environment; None is the one the agent was trained on."""
    trust: bool = False
    """Run the code that a run names as its environment (module:factory): only for runs of your
    own. Not needed with --env, nor where you have trained with the same code."""
    policy: str = RANDOM
    """"random" for uniformly random actions, or a run folder, checkpoint or snapshot."""
    which: Which | None = None
    """Which policy of the agent: the explorer, a random skill per episode, or the meta-controller;
    None is the meta-controller of a fine-tuned agent and the explorer of a pre-trained one."""
    sample: bool = True
    """Draw the agent's actions, as in training, instead of taking the mean."""
    environments: int = 8
    """Episodes an agent plays at once in each process; decides what chance it meets."""
    processes: int = 0
    """Processes that play; 0 is one per core. The episodes are the same for any number."""
    seed: int = 0
    """Decides all chance."""
    action_repeat: int | None = None
    """Frames per action; None is what the agent was trained with, or the benchmarks' number."""
    time_limit: int | None = None
    """Agent steps per episode; None is the environment's own limit."""
    obs: Obs = "states"
    """What is recorded with random actions: "states", "pixels" or "both". An agent's own are what
    it was trained on."""
    progress: bool = True
    """Show progress."""
    json: bool = False
    """Print JSON instead of a sentence."""


@dataclass(frozen=True, kw_only=True)
class RelabelOptions:
    """Write episodes with another task's rewards, worked out from their physics states."""

    source: Annotated[Path, tyro.conf.Positional]
    """Folder of episodes with physics, such as `choreo data collect` and ExORL make."""
    destination: Annotated[Path, tyro.conf.Positional]
    """Folder for the result; one that this command began is gone on with."""
    task: str
    """Task of the same environment, such as walker_run."""
    skip_bad: bool = False
    """Go on after an episode that cannot be used, and count it."""
    progress: bool = True
    """Show progress."""
    json: bool = False
    """Print JSON instead of a sentence."""


def collect(arguments: list[str]) -> None:
    """`choreo data collect DST`."""
    options = tyro.cli(CollectOptions, args=arguments, prog="choreo data collect")
    plan = _plan(options)
    with Progress(options.frames, label="collect", quiet=not options.progress) as shown:
        found = collect_episodes(
            plan,
            options.destination,
            options.frames,
            options.processes,
            shown.update,
            ("choreo", "data", "collect", *arguments),
        )
    if options.json:
        print(json.dumps({"folder": str(options.destination), **asdict(found)}))
        return
    print(
        f"{options.destination} holds {found.episodes:,} episodes, {found.steps:,} steps,"
        f" {found.frames:,} frames of {plan.env}"
    )


def relabel(arguments: list[str]) -> None:
    """`choreo data relabel SRC DST --task TASK`."""
    options = tyro.cli(RelabelOptions, args=arguments, prog="choreo data relabel")
    with Progress(0, label="relabel", unit="episodes", quiet=not options.progress) as shown:

        def tell(done: int, total: int) -> None:
            shown.total = total
            shown.update(done)

        found = relabel_episodes(
            options.source, options.destination, options.task, tell, options.skip_bad
        )
    if options.json:
        print(json.dumps({"folder": str(options.destination), **asdict(found)}))
        return
    print(
        f"{options.destination} holds {found.episodes:,} episodes, {found.steps:,} steps with the"
        f" rewards of {options.task}; the mean return is {found.mean_return:.4g}"
    )
    tell_skipped(asdict(found.skipped), found.episodes)


def _plan(options: CollectOptions) -> Plan:
    """Who plays what, with the checkpoint that a run means now."""
    if options.policy == RANDOM:
        if options.env is None:
            raise UsageError("random actions need an environment: give one with --env")
        made = {"obs": options.obs, **_given(options)}
        return Plan(options.env, _pairs(made), which=options.which, seed=options.seed)
    checkpoint = find_checkpoint(options.policy)
    env, made = environment_of(load(checkpoint), options.env, checkpoint, options.trust)
    return Plan(
        env,
        _pairs(made | _given(options)),
        checkpoint,
        options.which,
        options.sample,
        options.seed,
        options.environments,
    )


def _given(options: CollectOptions) -> dict[str, Any]:
    names = ("action_repeat", "time_limit")
    return {n: value for n in names if (value := getattr(options, n)) is not None}


def _pairs(made: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name, value) for name, value in made.items() if value is not None))
