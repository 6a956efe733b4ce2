"""What figures are of: the environment and the experience that belong to a run."""

from pathlib import Path
from typing import Any

from choreo.agent import Agent, load_state
from choreo.config_form import options_of
from choreo.data import first_episodes, open_dataset
from choreo.data.card import CARD
from choreo.envs.make import names_code
from choreo.envs.named import is_remembered
from choreo.envs.vector import VectorEnv, make_vector
from choreo.errors import EnvironmentMismatch, UsageError
from choreo.record import RunFolder
from choreo.replay import Replay
from choreo.runtime import usable_cores


def run_folder_of(run: Path) -> Path:
    """The run folder that a run, checkpoint or snapshot path lies in; the path without one."""
    run = Path(run).resolve()
    return next((p for p in (run, *run.parents[:2]) if (p / "config.json").exists()), run)


def environment_of(
    agent: Agent, env: str | None, run: Path, trust: bool = False
) -> tuple[str, dict[str, Any]]:
    """Environment id and options: those of the run, unless another environment is named.

    Raises:
        UsageError: there is none, or the id is from the files of the run, would have code
            imported that the user has not named before, and the run is not trusted.
    """
    folder = run_folder_of(run)
    options = agent.spec.make_options()
    if (folder / "config.json").exists():
        options["time_limit"] = options_of(RunFolder(folder))["training"].get("time_limit")
    if env is None and knows_no_environment(agent):
        raise UsageError(
            f"this agent learned from recorded data ({agent.spec.id}) and knows no environment; "
            "name one with --env"
        )
    name = agent.spec.id
    if env is None and names_code(name) and not (trust or is_remembered(name)):
        raise UsageError(
            f"{run} names the code {name} as its environment, which whoever made that "
            f"folder chose. Give --env {name} if that is what you want to run, or --trust "
            "for a run of your own"
        )
    return env or name, options


def knows_no_environment(agent: Agent) -> bool:
    """Whether the agent comes from recorded data alone."""
    return agent.spec.id.startswith("data:")


def fitting_vector(
    agent: Agent,
    env: str | None,
    num: int,
    run: Path,
    time_limit: int | None = None,
    trust: bool = False,
) -> VectorEnv:
    """Environments for the agent; refuses those it was not made for."""
    env_id, options = environment_of(agent, env, run, trust)
    if time_limit is not None:
        options["time_limit"] = time_limit
    drawn = agent.spec.obs != "states"  # which takes most of the time: a process for every core
    num = min(num, usable_cores()) if drawn else num
    vector = make_vector(env_id, num, parallel=drawn and num > 1, **options)
    try:
        who = f"this agent, which was trained on {agent.spec.id}"
        agent.spec.require_fit(vector.spec, f"{env_id} does not fit {who}")
    except EnvironmentMismatch:
        vector.close()
        raise
    return vector


def replay_of(run: Path) -> Replay | None:
    """The experience of a run as of its checkpoint, or None for a snapshot without one."""
    folder, state = run_folder_of(run), load_state(run)
    config = options_of(RunFolder(folder)) if (folder / "config.json").exists() else {}
    if config.get("command") == "offline":  # whose data are the same at any time
        imported = folder / "data" / CARD
        data = open_dataset(imported.parent if imported.exists() else Path(config["data"]))
        return first_episodes(data.replay, config.get("max_steps", 0))
    if "replay" not in state or not (folder / "replay").is_dir():
        return None
    return Replay.open(folder / "replay", state["replay"])
