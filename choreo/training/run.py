"""Pre-training and fine-tuning: which parts a run is put together from."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace

import torch

from choreo.agent import Agent, AgentConfig, adapt, find_checkpoint, load
from choreo.config import (
    LATER_OPTIONS,
    MAY_CHANGE,
    FinetuneConfig,
    OfflineConfig,
    OnlineConfig,
    PretrainConfig,
    RunConfig,
)
from choreo.config_form import check_options
from choreo.data import ImportOptions, first_episodes, open_dataset
from choreo.data.card import CARD, IMPORTED, read_card
from choreo.data.formats.detect import source_kind
from choreo.data.importer import Report
from choreo.envs.make import make
from choreo.envs.spaces import EnvSpec
from choreo.envs.vector import make_vector
from choreo.errors import UsageError
from choreo.learning.learner import adaptation_learner, pretraining_learner
from choreo.learning.modes import choose_mode
from choreo.record import RunFolder, Streams, checkpoint, derive_seed, is_claimed, open_run
from choreo.runtime import choose_device, set_threads
from choreo.skills import SkillConfig
from choreo.training.first_look import first_look
from choreo.training.offline import OfflineTrainer
from choreo.training.older_runs import as_begun
from choreo.training.online import Evaluator, OnlineTrainer
from choreo.training.outlook import tell_beginning
from choreo.training.phases import Adapting, Exploring, Phase
from choreo.training.trainer import Parts
from choreo.world_model import ModelConfig

log = logging.getLogger(__name__)

Importing = Callable[[], AbstractContextManager[Report | None]]

TAKEN_OVER = {
    "model": tuple(field.name for field in fields(ModelConfig)),
    "skills": tuple(field.name for field in fields(SkillConfig)),
    "imagination": ("layers", "units"),
}
"""Options that a fine-tuned agent shares with the pre-trained one it comes from."""

LEAST = {
    "training.batch": 1,
    "training.length": 2,
    "training.environments": 1,
    "model.layers": 1,
    "model.units": 1,
    "imagination.horizon": 2,
    "imagination.layers": 1,
    "imagination.units": 1,
    "skills.codes": 1,
    "skills.neighbours": 1,
    "exploration.neighbours": 2,
    "imagination.starts": 0,
    "training.update_every": 1,
    "training.random_frames": 0,
    "training.evaluate_every": 0,
    "training.evaluate_episodes": 1,
    "logging.keep": 1,
    "logging.every": 0,
    "logging.checkpoint_every": 0,
    "logging.checkpoint_minutes": 0,
    "training.action_repeat": 1,
    "training.time_limit": 1,
    "frames": 1,
    "updates": 1,
    "adaptation.reward_weight": 0,
    "max_steps": 0,
    "threads": 0,
}
"""Smallest values that mean anything: every loss needs something to be a mean of."""


def pretrain(config: PretrainConfig) -> RunFolder:
    """Explore without rewards; train model, explorer, codebook and skills together.

    The same configuration again resumes the run. Returns the run folder.
    """
    config = as_begun(config)
    device = _prepare(config)
    spec = environment_spec(config)
    run = open_run(config.run_dir, config.to_json(), MAY_CHANGE, LATER_OPTIONS)
    first_look(config, spec, run)
    streams = Streams(config.seed)
    seed = derive_seed(config.seed, "init")
    agent = Agent(spec, config.agent_config(), "pretraining", seed).to(device)
    generator = streams.torch("learning", device)
    learner = pretraining_learner(agent, config.optimizer, generator, config.mode, config.precision)
    random_frames = config.training.random_frames
    phase = Exploring(random_frames, config.model_first)
    parts = Parts(agent, learner, streams)
    OnlineTrainer(config, run, parts, phase, random_frames, _evaluator(config, phase)).train()
    return run


def finetune(config: FinetuneConfig) -> RunFolder:
    """Adapt skills to a task with the meta-controller, or learn it as one of the controls does.

    The same configuration again resumes the run. Returns the run folder.
    """
    config = as_begun(config.resolved())
    device = _prepare(config)
    spec = environment_spec(config)
    agent = _agent_to_adapt(config, spec).to(device)
    if agent.config.adaptation != config.adaptation:
        log.info("there is no trained explorer to take turns with: skills alone search")
        config = replace(config, adaptation=agent.config.adaptation)
    later = LATER_OPTIONS | {"start": "scratch" if config.from_scratch else "skills"}
    given = config.source and checkpoint.identity(find_checkpoint(config.source))
    run = open_run(config.run_dir, config.to_json(), MAY_CHANGE, later, {"source": given})
    first_look(config, spec, run)
    streams = Streams(config.seed)
    generator = streams.torch("learning", device)
    learner = adaptation_learner(
        agent,
        config.optimizer,
        generator,
        config.freeze_skills,
        config.mode,
        config.precision,
    )
    phase = Adapting(
        config.training.random_frames,
        config.adaptation,
        agent.num_skills,
        streams.numpy("random skills"),
        explores_by_skills=agent.controller is not None,
    )
    parts, first = Parts(agent, learner, streams), _first_update(config, agent)
    OnlineTrainer(config, run, parts, phase, first, _evaluator(config, phase)).train()
    return run


def offline(config: OfflineConfig, importing: Importing = nullcontext) -> RunFolder:
    """Learn world model, codebook and skills from recorded data; no environment is needed.

    Data of another form are imported into the run folder first; `importing` is entered for that and
    may give who hears how far it is. The same configuration again resumes the run. Returns the run
    folder. Source: paper section 4.1.
    """
    config = as_begun(config)
    device = _prepare(config)
    if not (config.run_dir / "data" / CARD).exists():
        source_kind(config.data)  # a wrong path should leave no run behind
    _import_options(config)
    may, inputs = (*MAY_CHANGE, "skip_bad"), {"data": _data_identity(config), "spec": DECLARED}
    run = open_run(config.run_dir, config.to_json(), may, LATER_OPTIONS, inputs)
    with importing() as report:
        options = _import_options(config)
        data = open_dataset(config.data, config.skip_bad, run.path / "data", options, report)
    streams, seed = Streams(config.seed), derive_seed(config.seed, "init")
    agent = Agent(data.spec, config.agent_config(), "offline", seed).to(device)
    generator = streams.torch("learning", device)
    learner = pretraining_learner(agent, config.optimizer, generator, config.mode, config.precision)
    replay = first_episodes(data.replay, config.max_steps)
    OfflineTrainer(config, run, Parts(agent, learner, streams), replay).train()
    return run


def _import_options(config: OfflineConfig) -> ImportOptions:
    """How data of another form are imported; refuses options that a finished import cannot take."""
    chosen = {"map": config.map, "clip": config.clip, "rescale": config.rescale}
    given = [f"--{name}" for name, value in {"keys": config.keys, **chosen}.items() if value]
    if given and _data_identity(config) != DECLARED:
        raise UsageError(
            f"{config.data} is an imported set, and {' and '.join(given)} can no longer change it. "
            "Leave them out, or give the data that it was imported from"
        )
    return ImportOptions(keys=config.keys or None, spec=config.spec, **chosen)


DECLARED = "in the import's request"


def _data_identity(config: OfflineConfig) -> str | None:
    """What the data are: of an imported set its hash; others the import compares with its own."""
    card = read_card(config.data) if config.data.is_dir() else None
    return DECLARED if card is None or card.get("kind") != IMPORTED else str(card["sha256"])


def environment_spec(config: OnlineConfig) -> EnvSpec:
    """What the environment of a run shows and takes; refuses one that the run cannot use."""
    environment = make(config.env, **config.env_options)
    spec, left_out = environment.spec, environment.left_out
    environment.close()
    if config.training.evaluate_every > 0 and spec.episode_steps is None:
        raise UsageError(
            f"{config.env} has no time limit, so an evaluation might never end: give "
            "--training.time-limit STEPS, or --training.evaluate-every 0"
        )
    steps, length = spec.episode_steps, config.training.length
    if config.training.sequences == "episode" and steps is not None and steps + 1 < length:
        raise UsageError(
            f"episodes of {config.env} have {steps} steps and hold no sequence of {length}: give a "
            "shorter --training.length, or let sequences run on into the next episode with "
            "--training.sequences stream"
        )
    tell_beginning(spec, left_out)
    return spec


def _first_update(config: FinetuneConfig, agent: Agent) -> int:
    """Frames before the first update: none, unless the model waits for some.

    It must where the scale of observations is still to be seen.
    """
    model = agent.world_model
    blind = agent.config.model.standardize > 0 and not bool(model.standardizer.fitted)
    waits = config.adaptation.model_waits or blind
    return config.training.random_frames if waits else 0


def _agent_to_adapt(config: FinetuneConfig, spec: EnvSpec) -> Agent:
    seed = derive_seed(config.seed, "init")
    if config.source is None:
        if config.start == "scratch":
            return Agent(spec, config.agent_config(), "adaptation", seed)
        raise UsageError(
            "fine-tuning starts from a pre-trained run: give --from RUN, or --from-scratch for the "
            "control that learns the task with fresh weights"
        )
    source = _fitting_source(config, spec)
    if config.start == "scratch":
        fresh = Agent(spec, config.agent_config(), "adaptation", seed)
        scale = source.world_model.standardizer.state_dict()
        fresh.world_model.standardizer.load_state_dict(scale)
        return fresh
    _check_sizes(config, source.config)
    return adapt(source, config.agent_config(), seed, config.start or "skills")


def _fitting_source(config: FinetuneConfig, spec: EnvSpec) -> Agent:
    assert config.source is not None
    source = load(find_checkpoint(config.source))
    who = f"the agent of {config.source}, which was trained on {source.spec.id}"
    source.spec.require_fit(spec, f"{config.env} does not fit {who}")
    source.spec = spec
    return source


def _check_sizes(config: FinetuneConfig, source: AgentConfig) -> None:
    """Refuse options that ask for other networks than those which are taken over."""
    lines = [
        f"{group}.{name} is {wanted}, the agent of {config.source} has {found}"
        for group, names in TAKEN_OVER.items()
        for name in names
        if (wanted := getattr(getattr(config, group), name))
        != (found := getattr(getattr(source, group), name))
    ]
    if lines:
        raise UsageError(
            "fine-tuning takes its networks from a pre-trained agent, and these options want "
            f"others: {'; '.join(lines)}. Leave them out, or pre-train with them"
        )


def check_least(config: RunConfig) -> None:
    """Refuse sizes that leave nothing to learn from, and neighbours that there are not."""
    check_options(config, LEAST)
    if not isinstance(config, FinetuneConfig):  # which has no reward by neighbours
        _check_neighbours(config)


def _check_neighbours(config: RunConfig) -> None:
    """Refuse more nearest neighbours than an update imagines states."""
    imagination, states = config.imagination, config.training.batch * config.training.length
    starts = min(imagination.starts or states, states)
    particles, wanted = starts * (imagination.horizon + 1), {}
    if config.skills.kind == "codebook":
        wanted["skills"] = config.skills.neighbours
    exploration = getattr(config, "exploration", None)
    if exploration is not None and exploration.kind == "apt":
        wanted["exploration"] = exploration.neighbours
    for group, neighbours in wanted.items():
        if neighbours > particles:
            raise UsageError(
                f"--{group}.neighbours is {neighbours}, and an update imagines {particles} states "
                f"({starts} starts x {imagination.horizon + 1}); give fewer neighbours, or more "
                "--imagination.starts or larger batches"
            )


def _prepare(config: RunConfig) -> torch.device:
    check_least(config)
    derive_seed(config.seed)  # refuses a negative one before anything is made
    _refuse_less_than_done(config)
    set_threads(config.threads)
    device = choose_device(config.device)
    mode = choose_mode(config.mode, device)  # refuses what cannot be before anything is made
    log.info("updates run %s on %s (--mode %s)", mode, device.type, config.mode)
    return device


def _refuse_less_than_done(config: RunConfig) -> None:
    """Refuse a budget that is lowered below what this run in the folder has done."""
    run = RunFolder(config.run_dir)
    newest = checkpoint.latest(run.checkpoints)
    if newest is None or not run.config_path.exists() or is_claimed(run.path):
        return
    options = run.config()
    if options.get("command") != config.command:  # another run, which is refused as such
        return
    unit = "updates" if isinstance(config, OfflineConfig) else "frames"
    wanted, planned = getattr(config, unit), options.get(unit, 0)
    done = checkpoint.load_state(newest).get("count")
    if isinstance(done, int) and wanted < min(done, planned):
        raise UsageError(
            f"{run.path} has {done:,} {unit}, and --{unit} {wanted} is less: a run cannot go back. "
            f"Give at least {done}, or another folder with --run-dir"
        )


def _evaluator(config: OnlineConfig, phase: Phase) -> Evaluator | None:
    """Evaluation during training, in environments and random streams of its own."""
    training = config.training
    if training.evaluate_every <= 0:
        return None
    # Here and not above: it brings the plotting libraries, which other runs need not wait for.
    from choreo.evaluation.evaluate import evaluate, evaluate_random_skills

    def score(agent: Agent, frames: int) -> dict[str, float]:
        episodes, policy = training.evaluate_episodes, phase.evaluated(frames)
        with make_vector(config.env, episodes, parallel=False, **config.env_options) as vector:
            seed = derive_seed(config.seed, "evaluation")  # the same starts every time
            if policy == "skill":
                kept = agent.config.adaptation.skill_steps
                result = evaluate_random_skills(agent, vector, episodes, seed, kept)
            else:
                result = evaluate(agent, vector, policy, episodes=episodes, seed=seed)
        told = result.critic
        critic = {} if told is None else {"expected": told.expected, "found": told.found}
        return {"return": result.mean, **{f"critic/{name}": x for name, x in critic.items()}}

    return score
