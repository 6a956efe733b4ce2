"""Pre-training and fine-tuning: which parts a run is put together from."""

import torch

from choreo.agent import Agent, adapt, find_checkpoint, load
from choreo.config import MAY_CHANGE, FinetuneConfig, PretrainConfig, RunConfig
from choreo.envs.spaces import EnvSpec
from choreo.envs.vector import make_vector
from choreo.errors import EnvironmentMismatch, UsageError
from choreo.learner import adaptation_learner, pretraining_learner
from choreo.record import RunFolder, Streams, derive_seed, open_run
from choreo.runtime import choose_device, set_threads
from choreo.training.phases import Adapting, Exploring, Phase
from choreo.training.trainer import Evaluator, Parts, Trainer


def pretrain(config: PretrainConfig) -> RunFolder:
    """Explore without rewards; train model, explorer, codebook and skills together.

    The same configuration again resumes the run. Returns the run folder.
    """
    device = _prepare(config)
    spec = environment_spec(config)
    run = open_run(config.run_dir, config.to_json(), MAY_CHANGE)
    streams = Streams(config.seed)
    seed = derive_seed(config.seed, "init")
    agent = Agent(spec, config.agent_config(), "pretraining", seed).to(device)
    learner = pretraining_learner(agent, config.optimizer, streams.torch("learning", device))
    random_frames = config.training.random_frames
    parts = Parts(agent, learner, Exploring(random_frames), streams, random_frames)
    Trainer(config, run, parts, _evaluator(config, parts.phase)).train()
    return run


def finetune(config: FinetuneConfig) -> RunFolder:
    """Adapt skills to a task with the meta-controller, or learn it from scratch as the control.

    The same configuration again resumes the run. Returns the run folder.
    """
    device = _prepare(config)
    spec = environment_spec(config)
    agent = _agent_to_adapt(config, spec).to(device)
    run = open_run(config.run_dir, config.to_json(), MAY_CHANGE)
    streams = Streams(config.seed)
    generator = streams.torch("learning", device)
    learner = adaptation_learner(agent, config.optimizer, generator, config.freeze_skills)
    phase = Adapting(
        config.training.random_frames,
        config.adaptation,
        agent.num_skills,
        streams.numpy("random skills"),
    )
    parts = Parts(agent, learner, phase, streams, update_start=0)
    Trainer(config, run, parts, _evaluator(config, phase)).train()
    return run


def environment_spec(config: RunConfig) -> EnvSpec:
    """What the environment of a run shows and takes; refuses an unknown one."""
    with make_vector(config.env, 1, parallel=False, **config.env_options) as vector:
        return vector.spec


def _agent_to_adapt(config: FinetuneConfig, spec: EnvSpec) -> Agent:
    seed = derive_seed(config.seed, "init")
    if config.from_scratch:
        return Agent(spec, config.agent_config(), "adaptation", seed)
    if config.source is None:
        raise UsageError(
            "fine-tuning starts from a pre-trained run: give --from RUN, or --from-scratch for the "
            "control that learns the task with fresh weights"
        )
    source = load(find_checkpoint(config.source))
    differences = source.spec.compatible_with(spec)
    if differences:
        raise EnvironmentMismatch(
            f"{config.env} does not fit the agent of {config.source}, which was trained on "
            f"{source.spec.id}: {'; '.join(differences)}"
        )
    source.spec = spec
    return adapt(source, config.agent_config(), seed)


def _prepare(config: RunConfig) -> torch.device:
    set_threads(config.threads)
    return choose_device(config.device)


def _evaluator(config: RunConfig, phase: Phase) -> Evaluator | None:
    """Evaluation during training, in environments and random streams of its own."""
    training = config.training
    if training.evaluate_every <= 0:
        return None
    # Here and not above: it brings the plotting libraries, which other runs need not wait for.
    from choreo.evaluation.evaluate import evaluate

    def score(agent: Agent, frames: int) -> dict[str, float]:
        episodes = training.evaluate_episodes
        with make_vector(config.env, episodes, parallel=False, **config.env_options) as vector:
            seed = derive_seed(config.seed, "evaluation", frames)
            result = evaluate(agent, vector, phase.evaluated, episodes=episodes, seed=seed)
        return {"return": result.mean}

    return score
