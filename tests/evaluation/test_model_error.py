"""Open-loop errors: what is compared with what, and how it is normalised."""

from typing import Any

import numpy as np
import pytest
import torch
from toy_episodes import episode_of, make_agent

from choreo.evaluation.model_error import CONTEXT, measure_model_error
from choreo.world_model import Batch

STEPS = 60


def ramps() -> list[Any]:
    """Observations [t, 10 t, 1] at step t, two episodes."""
    t = np.arange(STEPS + 1.0)
    states = np.stack([t, 10 * t, np.ones_like(t)], axis=1)
    return [episode_of(k, codes=np.zeros(STEPS + 1), observations=states) for k in range(2)]


VARIANCE = np.array([4.0, 100.0, 0.0])


def test_nothing_changes_on_a_ramp() -> None:
    # k steps ahead the errors are k and 10 k: (k^2 / 4 + 100 k^2 / 100) / 2, the constant left out.
    result = measure_model_error({"trained": make_agent()}, ramps(), VARIANCE, seed=0)
    assert result is not None
    ahead = np.arange(1, 46)
    np.testing.assert_allclose(result.errors["nothing_changes"], ahead**2 * (0.25 + 1) / 2)
    assert result.left_out == 1
    assert result.sequences == 2
    data = result.to_json()
    assert data["horizons"] == [1, 5, 15, 45]
    assert data["nothing_changes"][1] == pytest.approx(25 * 0.625)


def test_the_model_is_compared_with_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent()
    seen: list[Batch] = []

    def oracle(batch: Batch, context: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        seen.append(batch)
        assert context == CONTEXT
        return {"observation": batch.observation["observation"][:, context:] + torch.tensor([2.0])}

    monkeypatch.setattr(agent.world_model, "open_loop", oracle)
    result = measure_model_error({"trained": agent}, ramps(), VARIANCE, seed=0)
    assert result is not None
    np.testing.assert_allclose(result.errors["trained"], (4 / 4 + 4 / 100) / 2, rtol=1e-6)
    (batch,) = seen
    assert batch.observation["observation"].shape == (2, CONTEXT + 45, 3)
    assert batch.is_first[:, 0].all()
    assert not batch.is_first[:, 1:].any()


def test_actions_stand_beside_what_they_led_to(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent()
    (episode, _) = ramps()
    episode.actions[:] = np.arange(STEPS)[:, None] / 100
    batches: list[Batch] = []

    def keep(batch: Batch, context: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        batches.append(batch)
        return {"observation": batch.observation["observation"][:, context:]}

    monkeypatch.setattr(agent.world_model, "open_loop", keep)
    measure_model_error({"trained": agent}, [episode], VARIANCE, seed=0)
    actions = batches[0].action[0, :, 0].numpy()
    assert actions[0] == 0
    np.testing.assert_allclose(actions[1:], np.arange(CONTEXT + 44) / 100, rtol=1e-6)


def test_short_episodes_measure_what_fits() -> None:
    agents = {"trained": make_agent()}
    short = [episode.cut(CONTEXT + 9) for episode in ramps()]
    result = measure_model_error(agents, short, VARIANCE, seed=0)
    assert result is not None
    assert result.to_json()["trained"][2:] == [None, None]
    assert result.to_json()["trained"][1] is not None
    assert measure_model_error(agents, [e.cut(CONTEXT - 1) for e in ramps()], VARIANCE, 0) is None
