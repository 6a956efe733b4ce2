"""The map of skills of an agent without a simulator: where its model expects them to end up."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from choreo.agent import Agent
from choreo.errors import UsageError
from choreo.evaluation.atlas import Atlas, SkillPlace, late, relatives, thinned
from choreo.evaluation.axes import Axes, flatten, make_axes
from choreo.evaluation.codes import SKIPPED, replay_use
from choreo.evaluation.conditions import STAGES
from choreo.evaluation.controls import untrained_agent
from choreo.evaluation.episode import Episode, thumbnails
from choreo.evaluation.imagining import ImaginedSkills, imagine_skills, start_of_replay
from choreo.record import derive_seed
from choreo.record.progress import Tell, silent
from choreo.replay import Replay

STARTS = 4  # from which every skill is imagined [ours]
STEPS = 100  # imagined steps of each [ours]
ROWS = 2000  # recorded steps that the axes are computed from [ours]


def dreamt_atlas(
    agent: Agent,
    replay: Replay,
    condition: str = "trained",
    seed: int = 0,
    axes: Axes | None = None,
    tell: Tell = silent,
) -> Atlas:
    """Imagine every skill from recorded starts; the axes are directions of the recorded data.

    `hit_rate` is that of imagined states. Where nothing is played there is no return, coverage or
    safety. `condition` is "trained" or "untrained".

    Raises UsageError for another condition, or experience that holds no step.
    """
    if condition not in ("trained", "untrained"):
        raise UsageError(f"{condition} needs a simulator; imagined are trained and untrained")
    shown = untrained_agent(agent, seed) if condition == "untrained" else agent
    axes = axes or data_axes(agent, replay)
    runs = _imagined(shown, replay, seed, lambda done: tell(STAGES[condition], done, STARTS))
    use = replay_use(shown, replay, derive_seed(seed, "health"))
    counts = np.zeros(shown.num_skills) if use is None else use.counts
    with torch.no_grad():
        near = relatives(shown.skills.decoded_codes().cpu().numpy())
    paths = np.array([_paths(axes, run) for run in runs])  # (starts, H, K, 2)
    hits = _hits(shown, runs)
    share = counts / max(counts.sum(), 1)
    skills = []
    for k in range(shown.num_skills):
        x, y = np.mean([late(path).mean(0) for path in paths[:, :, k]], axis=0).tolist()
        path = thinned(paths[0, :, k])
        idle = use is not None and bool(counts[k] == 0)
        skills.append(SkillPlace(k, x, y, float(share[k]), idle, float(hits[k]), path, near[k]))
    return Atlas(
        axes=axes.names,
        kind=axes.kind,
        condition=condition,
        environment=agent.spec.id,
        skills=skills,
        use_from="recorded experience",
        chance=1 / agent.num_skills,
        seed=seed,
        reading=axes,
        imagined=True,
    )


def imagined_hit_rate(agent: Agent, replay: Replay, seed: int = 0) -> float:
    """Share of imagined steps, after the first 50, at the skill's own code, over all skills.

    From a few recorded starts, so that a run's checkpoints can be compared while it learns.
    """
    runs = _imagined(agent, replay, seed, lambda done: None)
    return float(_hits(agent, runs).mean())


def data_axes(agent: Agent, replay: Replay, rows: int = ROWS) -> Axes:
    """The first two principal components of evenly spaced recorded observations."""
    starts, stops = replay.bounds()
    each = max(2, rows // replay.streams)
    pieces = []
    for stream, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist())):
        indices = np.unique(np.linspace(start, stop - 1, each).round().astype(np.int64))
        if stop > start:
            steps = replay.gather(np.full(len(indices), stream), indices, 1)
            seen = {key: steps[key][:, 0] for key in agent.spec.observations}
            pieces.append(_as_episode(seen))
    if not pieces:
        raise UsageError("the run holds no experience yet, so there is no map to draw")
    return make_axes((), pieces)


def _imagined(
    agent: Agent, replay: Replay, seed: int, told: Callable[[int], None]
) -> list[ImaginedSkills]:
    """All skills from a few recorded starts."""
    runs = []
    for number in range(STARTS):
        told(number)
        start = start_of_replay(agent, replay, derive_seed(seed, "dreamt start", number))
        runs.append(imagine_skills(agent, start, STEPS, derive_seed(seed, "dreamt", number)))
    told(STARTS)
    return runs


def _as_episode(seen: dict[str, np.ndarray]) -> Episode:
    """Observations (n, shape) as an episode, which is what axes are made from."""
    images = {key: value for key, value in seen.items() if value.dtype == np.uint8}
    count = len(next(iter(seen.values())))
    return Episode(
        observations={key: value for key, value in seen.items() if key not in images},
        actions=np.zeros((count - 1, 0)),
        rewards=np.zeros(count - 1),
        coordinates=np.zeros((count, 0)),
        codes=np.zeros(count, np.int64),
        skill=None,
        start=0,
        ended=False,
        thumbnails={key: thumbnails(value) for key, value in images.items()},
    )


def _paths(axes: Axes, run: ImaginedSkills) -> np.ndarray:
    rows = {key: value.reshape(-1, *value.shape[2:]) for key, value in run.observations.items()}
    return axes.of_flat(flatten(rows)).reshape(*run.reward.shape, 2)


@torch.no_grad()
def _hits(agent: Agent, runs: Sequence[ImaginedSkills]) -> np.ndarray:
    """Share of the imagined steps, after those that the hit rate skips, at the own code, (K,)."""
    own = torch.arange(agent.num_skills, device=agent.device)
    shares = [
        (agent.skills.nearest_code(run.deter[SKIPPED:]) == own).double().mean(0) for run in runs
    ]
    return torch.stack(shares).mean(0).cpu().numpy()
