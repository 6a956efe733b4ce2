"""The demonstration: skills without rewards on real physics, and what they are good for."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from choreo.agent import Agent, PolicyName, load
from choreo.config import FinetuneConfig, LoggingConfig, PretrainConfig, TrainingConfig
from choreo.envs.make import SLOPING_TASKS
from choreo.envs.vector import VectorEnv, make_vector
from choreo.errors import StorageError
from choreo.evaluation.evaluate import Evaluation, evaluate
from choreo.evaluation.health import SkillReport
from choreo.evaluation.imagining import start_of_reset
from choreo.evaluation.named_rewards import PREDICTED, named_rewards
from choreo.evaluation.prompts import Reward, prompt
from choreo.presets import apply_preset
from choreo.record import checkpoint
from choreo.record.files import write_whole
from choreo.record.progress import Stopwatch
from choreo.replay import Replay
from choreo.report import rules
from choreo.report.provenance import provenance_of
from choreo.report.skill_report import skill_report
from choreo.schema import Named, Real, problem, read_json
from choreo.skills import SkillConfig
from choreo.training import finetune, pretrain
from choreo.viz.plots import learning_curves, read_curve
from choreo.viz.report import Picture, Section, Table, Verdict

REPORT_EPISODES = 4  # of every skill
EVALUATION_SEED = 1_000  # the same starts for all who are compared
MANY = 16  # environments stepped together when measuring


@dataclass(frozen=True)
class DemoConfig:
    """Learn skills on a point mass without rewards, show them, adapt them to a task."""

    run_dir: Path = Path("runs/demo")
    """Folder of the three runs and the report. The same command again resumes."""
    preset: Literal["cpu", "debug"] = "cpu"
    """Settings; debug takes seconds and learns nothing."""
    env: str = "point_mass"
    """Environment of pre-training, which sees no rewards."""
    task: str | None = None
    """Task of fine-tuning: the mass must find a corner and stay there. None draws the corner by
    the seed, so that nobody has chosen it after looking at the skills."""
    skills: int = 16
    """Number of skills."""
    frames: int = 40_000
    """Frames of pre-training, without rewards."""
    random_frames: int = 15_000
    """The first of these, with random actions: the explorer alone keeps to one side of the arena,
    and skills go where experience is."""
    finetune_frames: int = 12_000
    """Frames of fine-tuning, and of learning the task from scratch."""
    action_repeat: int = 10
    """Frames per agent step: 15 imagined steps then cross the arena."""
    explore_steps: int = 20
    """Agent steps per episode of pre-training: short, so that not all experience is from where
    the explorer ends up."""
    entropy_scale: float = 0.3
    """Weight of the entropy reward: with as few imagined states as `cpu` has, neighbours are
    farther away than in the paper, and the reward counts for more."""
    episode_steps: int = 80
    """Agent steps per episode of the task and of every measurement."""
    skill_steps: int = 20
    """Agent steps for which a random skill is kept until fine-tuning has found the reward."""
    episodes: int = 32
    """Episodes of every evaluation."""
    seed: int = 0
    """Seed of everything."""
    json: bool = False
    """Print JSON instead of tables."""


@dataclass(frozen=True)
class UntrainedGoal:
    """Returns at a task that no part of the agent was trained on, with the skill chosen for it.

    `chosen` is the skill that imagination ranks first, `every` all skills.
    """

    skill: int
    chosen: Evaluation
    every: Evaluation
    chance: Evaluation

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        returns = {name: getattr(self, name).mean for name in ("chosen", "every", "chance")}
        return {"skill": self.skill} | returns


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found and where its page is."""

    report: SkillReport
    goals: dict[str, UntrainedGoal]
    returns: dict[str, Evaluation]
    page: Path
    minutes: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "skills": self.report.to_json(),
            "goals": {name: value.to_json() for name, value in self.goals.items()},
            "task": {name: value.to_json() for name, value in self.returns.items()},
            "minutes": self.minutes,
        }


SKILLS, SCRATCH, CHANCE = "fine-tuned skills", "from scratch", "random actions"


def run_demo(config: DemoConfig) -> DemoResult:
    """Pre-train, report on the skills, fine-tune, learn from scratch, and write one page.

    Every part resumes where it was stopped.
    """
    watch = Stopwatch()
    try:
        with watch.watch("pre-training"):
            pretrain(_pretraining(config))
        with watch.watch("fine-tuning"):
            finetune(_finetuning(config, from_scratch=False))
        with watch.watch("from scratch"):
            finetune(_finetuning(config, from_scratch=True))
        return _measure(config, watch)
    finally:
        _keep_minutes(config.run_dir / "minutes.json", watch)


def _measure(config: DemoConfig, watch: Stopwatch) -> DemoResult:
    """Compare the three runs and write the page."""
    with watch.watch("measuring"):
        agent = load(config.run_dir / "pretrain")
        folder = config.run_dir
        with _vector(config, corner(config)) as vector:
            returns = _compare(config, vector)
        goals = {task: _untrained(config, agent, task) for task in _goals(agent)}
        with _vector(config, config.env) as vector:
            report = skill_report(
                agent,
                vector,
                folder,
                REPORT_EPISODES,
                config.episode_steps,
                config.seed,
                _replay(config),
                more=[*([_goal_section(goals)] if goals else []), _task_section(config, returns)],
                title="What Choreo learned without rewards",
                about=provenance_of(folder / "pretrain", agent),
            )
    minutes = _all_minutes(folder / "minutes.json", watch)
    result = DemoResult(report, goals, returns, folder / "report.html", minutes)
    _write(folder / "demo.json", result)
    return result


def _all_minutes(path: Path, watch: Stopwatch) -> dict[str, float]:
    """Minutes of every part, over this and earlier starts of the same demonstration."""
    before = _minutes_before(path)
    return {name: before.get(name, 0.0) + s / 60 for name, s in watch.seconds.items()}


def _minutes_before(path: Path) -> dict[str, float]:
    """What earlier starts have noted; nothing where the file is none of theirs."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return {} if problem(found, Named(Real())) else found


def _keep_minutes(path: Path, watch: Stopwatch) -> None:
    if path.parent.is_dir():
        write_whole(path, json.dumps(_all_minutes(path, watch)) + "\n")


def _pretraining(config: DemoConfig) -> PretrainConfig:
    run = PretrainConfig(env=config.env, run_dir=config.run_dir / "pretrain", snapshots=())
    run = apply_preset(run, config.preset)
    return replace(
        run,
        frames=config.frames,
        seed=config.seed,
        skills=_skills(config, run),
        training=replace(
            _training(config, run, config.explore_steps), random_frames=config.random_frames
        ),
        logging=_logging(run),
    )


def _finetuning(config: DemoConfig, from_scratch: bool) -> FinetuneConfig:
    name = "scratch" if from_scratch else "finetune"
    run = FinetuneConfig(
        env=corner(config), run_dir=config.run_dir / name, from_scratch=from_scratch
    )
    run = apply_preset(run, config.preset)
    training = replace(
        _training(config, run, config.episode_steps),
        random_frames=config.finetune_frames // 8,
        evaluate_every=config.finetune_frames // 10,
        evaluate_episodes=max(1, config.episodes // 2),
    )
    return replace(
        run,
        frames=config.finetune_frames,
        seed=config.seed,
        source=(config.run_dir / "pretrain").resolve(),
        skills=_skills(config, run),
        training=training,
        adaptation=replace(run.adaptation, skill_steps=config.skill_steps),
        logging=_logging(run),
    )


def corner(config: DemoConfig) -> str:
    """The task of a demonstration."""
    if config.task is not None:
        return config.task
    return SLOPING_TASKS[int(np.random.default_rng(config.seed).integers(len(SLOPING_TASKS)))]


def _skills(config: DemoConfig, run: PretrainConfig | FinetuneConfig) -> SkillConfig:
    return replace(run.skills, codes=config.skills, entropy_scale=config.entropy_scale)


def _training(
    config: DemoConfig, run: PretrainConfig | FinetuneConfig, steps: int
) -> TrainingConfig:
    return replace(run.training, action_repeat=config.action_repeat, time_limit=steps)


def _logging(run: PretrainConfig | FinetuneConfig) -> LoggingConfig:
    return replace(run.logging, checkpoint_every=4000)


def _vector(config: DemoConfig, env: str) -> VectorEnv:
    repeat, limit = config.action_repeat, config.episode_steps
    return make_vector(env, MANY, False, action_repeat=repeat, time_limit=limit)


def _replay(config: DemoConfig) -> Replay | None:
    folder = config.run_dir / "pretrain"
    path = checkpoint.latest(folder / "checkpoints")
    if path is None:
        return None
    return Replay.open(folder / "replay", checkpoint.load_state(path)["replay"])


def _compare(config: DemoConfig, vector: VectorEnv) -> dict[str, Evaluation]:
    """Final returns on the same starts: fine-tuned, from scratch, and by chance."""

    def play(agent: Agent, policy: PolicyName) -> Evaluation:
        return evaluate(agent, vector, policy, config.episodes, EVALUATION_SEED)

    tuned, scratch = load(config.run_dir / "finetune"), load(config.run_dir / "scratch")
    return {
        SKILLS: play(tuned, "task"),
        SCRATCH: play(scratch, "task"),
        CHANCE: play(scratch, "random"),
    }


def _goals(agent: Agent) -> list[str]:
    """Tasks of the agent's domain whose rewards can be judged in imagination."""
    names = [reward.name for reward in named_rewards(agent) if reward.name != PREDICTED]
    return [name for name in names if name in SLOPING_TASKS] or names


def _untrained(config: DemoConfig, agent: Agent, task: str) -> UntrainedGoal:
    """Rank skills by imagining them, and play the first, all, and random actions."""
    with _vector(config, task) as vector:
        start = start_of_reset(agent, vector, EVALUATION_SEED)
        best = prompt(agent, start, Reward(task), config.seed)[0].skill
        every = range(agent.num_skills)
        return UntrainedGoal(
            best,
            evaluate(agent, vector, "skill", config.episodes, EVALUATION_SEED, [best]),
            evaluate(agent, vector, "skill", REPORT_EPISODES, EVALUATION_SEED, every),
            evaluate(agent, vector, "random", config.episodes, EVALUATION_SEED),
        )


def _goal_section(goals: dict[str, UntrainedGoal]) -> Section:
    above = sum(goal.chosen.mean > goal.chance.mean for goal in goals.values())
    sentence = (
        f"In {above} of {len(goals)} tasks the skill that imagination chose returns more than "
        "random actions do."
    )
    rows = [
        [
            task,
            str(goal.skill),
            f"{goal.chosen.mean:.0f}",
            _interval(goal.chosen),
            f"{goal.every.mean:.0f}",
            f"{goal.chance.mean:.0f}",
        ]
        for task, goal in goals.items()
    ]
    head = ("", "chosen skill", "its return", "95% interval", "all skills", "random actions")
    return Section(
        "Goals without any training on them",
        "Every skill is imagined from one start and judged by the task's own reward; the best one "
        "is then played in the simulator. Nothing has learned from these rewards.",
        [Verdict("good" if above == len(goals) else "neutral", sentence)],
        [Table(head, rows, strong=2)],
    )


def _task_section(config: DemoConfig, returns: dict[str, Evaluation]) -> Section:
    tuned, scratch = returns[SKILLS], returns[SCRATCH]
    tone = rules.returns_tone(tuned, scratch)
    sentence = (
        f"After {config.finetune_frames:,} frames the meta-controller on pre-trained skills "
        f"reaches a mean return of {tuned.mean:.1f}, learning from scratch {scratch.mean:.1f}, "
        f"random actions {returns[CHANCE].mean:.1f}."
    )
    curves = [
        read_curve(config.run_dir / folder / "metrics.jsonl", name, kind="evaluation")
        for name, folder in ((SKILLS, "finetune"), (SCRATCH, "scratch"))
    ]
    rows = [
        [name, f"{e.mean:.1f}", _interval(e), str(len(e.returns))] for name, e in returns.items()
    ]
    return Section(
        "What the skills are good for",
        f"The task {corner(config)}, with the same number of frames for both: once starting from "
        "the skills above, once from fresh weights. Curves are evaluations during training.",
        [Verdict(tone, sentence)],
        [
            Picture(learning_curves(curves), "Mean return of evaluations against frames."),
            Table(("", "mean return", "95% interval", "episodes"), rows, strong=1),
        ],
    )


def _interval(evaluation: Evaluation) -> str:
    interval = evaluation.interval95
    return "-" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}"


def _write(path: Path, result: DemoResult) -> None:
    try:
        path.write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}") from error
