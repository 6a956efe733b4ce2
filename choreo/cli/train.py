"""`choreo pretrain` and `choreo finetune`."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import tyro

from choreo.agent import AgentConfig, find_checkpoint, load_state
from choreo.cli.data import episodes_progress, tell_import
from choreo.config import FinetuneConfig, OfflineConfig, PresetName, PretrainConfig, RunConfig
from choreo.config_form import options_of, options_problem
from choreo.data.card import read_card
from choreo.data.inspection import few_steps
from choreo.envs.named import remember
from choreo.envs.spaces import EnvSpec
from choreo.errors import CheckpointError
from choreo.presets import apply_preset
from choreo.record import RunFolder, checkpoint
from choreo.runtime import keep_memory
from choreo.schema import problem
from choreo.stopping import Stopped
from choreo.training import finetune as run_finetune
from choreo.training import offline as run_offline
from choreo.training import pretrain as run_pretrain

Config = TypeVar("Config", bound=RunConfig)

NOTHING_LEARNED = (
    "warning: {path} ended with 0 updates, so nothing was learned: the frames before learning "
    "begins took all of them, or no episode held a whole sequence. Give more --frames, fewer "
    "--training.random-frames, or a shorter --training.length"
)


def pretrain(arguments: list[str]) -> None:
    """`choreo pretrain`."""
    default = PretrainConfig(env=cast(str, tyro.MISSING))
    config = parse(default, arguments)
    remember(config.env)
    with notes(), saying_what_is_saved(config):
        keep_memory()
        _tell(run_pretrain(config))


def offline(arguments: list[str]) -> None:
    """`choreo offline`."""
    config = parse(OfflineConfig(data=cast(Path, tyro.MISSING)), arguments)
    spec = None if config.spec is None else config.spec.resolve()
    config = replace(config, data=config.data.resolve(), spec=spec)  # however they are spelled
    with notes(), saying_what_is_saved(config):
        keep_memory()
        _tell(run_offline(config, lambda: _importing(config)))


@contextmanager
def _importing(config: OfflineConfig) -> Iterator[Callable[[int, int], None]]:
    """Shows how far an import is, and says what was imported."""
    with episodes_progress("import", not config.logging.progress) as tell:
        yield tell
    card = read_card(config.run_dir / "data")
    if card is not None:
        tell_import(card)
    elif (own := read_card(config.data)) is not None and (few := few_steps(own["steps"])):
        print(f"warning: {few}")


def finetune(arguments: list[str]) -> None:
    """`choreo finetune`: settings come from the run that --from names, then from the options."""
    default = FinetuneConfig(env=cast(str, tyro.MISSING))
    source = option(arguments, "from")
    if source is not None:
        default = settings_of(Path(source), default)
    config = parse(default, arguments)
    if config.source is not None:
        config = replace(config, source=config.source.resolve())  # one run, however it is spelled
    remember(config.env)
    with notes(), saying_what_is_saved(config):
        keep_memory()
        _tell(run_finetune(config))


def parse(default: Config, arguments: list[str]) -> Config:
    """Options on top of the preset they name."""
    preset = option(arguments, "preset")
    if preset is not None:
        default = apply_preset(default, cast(PresetName, preset))
    return tyro.cli(
        type(default),
        default=default,
        args=arguments,
        prog=f"choreo {default.command}",
    )


def option(arguments: list[str], name: str) -> str | None:
    """Value of `--name value` or `--name=value`, before everything else is parsed."""
    for position, argument in enumerate(arguments):
        if argument == f"--{name}" and position + 1 < len(arguments):
            return arguments[position + 1]
        if argument.startswith(f"--{name}="):
            return argument.split("=", 1)[1]
    return None


def settings_of(source: Path, default: FinetuneConfig) -> FinetuneConfig:
    """The default with the preset and the network sizes of the run it starts from."""
    folder = find_checkpoint(source)
    agent, spec = _described(folder, load_state(source))
    run = next((p for p in (folder, *folder.parents) if (p / "config.json").exists()), None)
    if run is not None:
        default = with_settings(default, options_of(RunFolder(run)))
    sees = spec.make_options()
    repeat = sees.pop("action_repeat")
    if run is None:  # the run's own option otherwise
        default = replace(default, training=replace(default.training, action_repeat=repeat))
    networks = {"model": agent.model, "imagination": agent.imagination, "skills": agent.skills}
    return replace(default, **sees, **networks)


def _described(folder: Path, state: dict[str, Any]) -> tuple[AgentConfig, EnvSpec]:
    """Networks and environment of the agent in a checkpoint, each of a size that there can be."""
    found = state.get("agent")
    wrong = problem(found, {"config": dict, "spec": dict}, "agent")
    try:
        if wrong is None and isinstance(found, dict):
            names = ("model", "imagination", "skills")
            networks = {name: found["config"].get(name) for name in names}
            wrong = options_problem({"command": "pretrain", **networks})
            if wrong is None:
                return AgentConfig.from_json(found["config"]), EnvSpec.from_json(found["spec"])
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        wrong = f"{error}"
    raise CheckpointError(
        f"{folder} does not describe an agent: {wrong}. Give another one, or copy it back"
    )


def with_settings(default: FinetuneConfig, run: dict[str, Any]) -> FinetuneConfig:
    """The default with the preset, the optimiser and the batches of an earlier run."""
    default = apply_preset(default, run["preset"])
    changes: dict[str, Any] = {"seed": run["seed"], "device": run["device"]}
    groups = ["optimizer", "training"]
    if run["command"] != "offline":  # whose clocks count updates
        groups += ["replay", "logging"]
    for group in groups:
        options = getattr(default, group)
        known = {field.name for field in fields(options)}
        given = {name: value for name, value in run.get(group, {}).items() if name in known}
        changes[group] = replace(options, **given)
    return replace(default, **changes)


class _Notes(logging.StreamHandler):
    """Writes to what is stderr at that moment: above a progress bar, while there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


@contextmanager
def notes() -> Iterator[None]:
    """Show on stderr what the library notes about a run, such as the mode of its updates.

    Once: simulators bring a handler for the log of the whole process.
    """
    log, handler = logging.getLogger("choreo"), _Notes()
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate


@contextmanager
def saying_what_is_saved(config: RunConfig) -> Iterator[None]:
    """Say, of a run that is stopped, where the same command will go on."""
    try:
        yield
    except Stopped as stop:
        raise Stopped(stop.number, what_is_saved(config)) from stop


def what_is_saved(config: RunConfig) -> str:
    """How far the last checkpoint of a run is, as a sentence."""
    found = checkpoint.latest(RunFolder(config.run_dir).checkpoints)
    if found is None:
        return f"stopped; {config.run_dir} holds no checkpoint yet: the same command begins anew"
    counted = "update" if isinstance(config, OfflineConfig) else "frame"
    count = checkpoint.load_state(found)["count"]
    return f"stopped; {config.run_dir} is saved: the same command goes on from {counted} {count:,}"


def _tell(run: RunFolder) -> None:
    found = checkpoint.latest(run.checkpoints)
    learned = found is None or checkpoint.load_state(found)["learner"]["updates"] > 0
    print(f"done: {run.path}" if learned else NOTHING_LEARNED.format(path=run.path))
