"""Hit rate, perplexity and the newest assignments of a replay, by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_episodes import (
    ACTIONS,
    SKILLS,
    CountingEnvironment,
    PictureEnvironment,
    episode_of,
    make_agent,
)

from choreo.envs import EnvSpec
from choreo.evaluation import codes
from choreo.evaluation.codes import (
    CodeUse,
    hit_matrix,
    hit_rate,
    hold_steps,
    replay_use,
    rollout_use,
)
from choreo.replay import Replay
from choreo.world_model import Batch


def test_hit_rate_skips_the_first_steps() -> None:
    # Index 0 is the start, indices 1 and 2 are skipped; of the rest 2 of 3 and 0 of 1 are hits.
    one = episode_of(1, codes=[1, 1, 1, 1, 0, 1])
    two = episode_of(2, codes=[2, 2, 2, 0])
    assert hit_rate([one, two], skipped=2) == 2 / 4


def test_short_episodes_have_no_hit_rate() -> None:
    assert hit_rate([episode_of(1, codes=[1, 1, 1])], skipped=2) is None


def test_fifty_steps_are_skipped_by_default() -> None:
    reached = [0] * 51 + [3] * 10
    assert hit_rate([episode_of(3, codes=reached)]) == 1


def test_a_skill_holds_for_its_longest_run_at_its_own_code() -> None:
    long = episode_of(1, codes=[1, 0, 1, 1, 1, 0, 1])
    short = episode_of(1, codes=[0, 1, 1, 0])
    never = episode_of(0, codes=[2, 2, 2])
    assert hold_steps([long, short, never], skills=3) == [0.0, 2.5, None]


def test_hit_matrix() -> None:
    one = episode_of(1, codes=[9, 1, 0, 1, 1])
    matrix = hit_matrix([one], skills=10, skipped=1)
    np.testing.assert_allclose(matrix[1, :2], [1 / 3, 2 / 3])
    assert matrix[0].sum() == 0


def test_perplexity_and_share_of_used_codes() -> None:
    even = CodeUse(np.array([5, 5, 5, 5]))
    assert even.used == 1
    assert even.perplexity == pytest.approx(4)
    one = CodeUse(np.array([7, 0, 0, 0]))
    assert one.used == 0.25
    assert one.perplexity == pytest.approx(1)
    skewed = CodeUse(np.array([1, 3, 0, 0]))
    by_hand = np.exp(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    assert skewed.perplexity == pytest.approx(by_hand)


def test_use_in_rollouts_leaves_out_starts_and_old_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "ASSIGNMENTS", 3)
    episodes = [episode_of(0, codes=[3, 2, 1]), episode_of(1, codes=[3, 0, 1])]
    np.testing.assert_array_equal(rollout_use(episodes, 4).counts, [1, 2, 0, 0])


LIMITS = {"float32": (-100, 100), "uint8": (0, 255)}


def make_replay(folder: Path, steps: int, spec: EnvSpec | None = None) -> Replay:
    rng = np.random.default_rng(0)
    flags = dict.fromkeys(("is_first", "is_last", "is_terminal"), ((), "bool"))
    seen = (spec or CountingEnvironment().spec).observations
    shapes = {key: (array.shape, array.dtype) for key, array in seen.items()}
    keys = {**shapes, "action": ((ACTIONS,), "float32"), **flags}
    replay = Replay(folder, {**keys, "reward": ((), "float32")}, streams=2)
    for step in range(steps):
        entries = {
            **{
                key: (rng.normal(size=(2, *shape)) * 5).clip(*LIMITS[dtype]).astype(dtype)
                for key, (shape, dtype) in shapes.items()
            },
            "action": rng.uniform(-1, 1, (2, ACTIONS)).astype(np.float32),
            "reward": np.zeros(2, np.float32),
            **{name: np.full(2, step == 0) for name in flags},
        }
        replay.append(entries)
    return replay


def test_use_over_replay_is_that_of_the_newest_posteriors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "ASSIGNMENTS", 100)
    agent, replay = make_agent(), make_replay(tmp_path, steps=130)
    use = replay_use(agent, replay, seed=4)
    assert use is not None
    assert use.counts.sum() == 100

    newest = replay.gather(np.array([0, 1]), np.array([80, 80]), 50)
    data = {key: torch.as_tensor(value) for key, value in newest.items()}
    data["is_first"][:, 0] = True
    batch = Batch.from_tensors(data, ["observation"])
    model, generator = agent.world_model, torch.Generator().manual_seed(4)
    with torch.no_grad():
        embed = model.encoder(batch.observation)
        posterior, _ = model.rssm.observe(embed, batch.action, batch.is_first, generator)
        nearest = agent.skills.nearest_code(posterior.deter).flatten().numpy()
    np.testing.assert_array_equal(use.counts, np.bincount(nearest, minlength=SKILLS))


def test_use_over_a_replay_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "ASSIGNMENTS", 100)
    spec = PictureEnvironment().spec
    use = replay_use(make_agent(spec), make_replay(tmp_path, 60, spec), seed=4)
    assert use is not None
    assert use.counts.sum() == 100


def test_a_replay_without_a_sequence_has_no_use(tmp_path: Path) -> None:
    assert replay_use(make_agent(), make_replay(tmp_path, steps=49), seed=0) is None
