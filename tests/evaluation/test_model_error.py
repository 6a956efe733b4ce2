"""Open-loop errors: what is compared with what, and how it is normalised."""

from typing import Any

import numpy as np
import pytest
import torch
from toy_episodes import PictureEnvironment, episode_of, make_agent

from choreo.evaluation.model_error import Spread, measure_model_error, measure_spread
from choreo.evaluation.windows import CONTEXT, IMAGE_WINDOWS
from choreo.world_model import Batch
from choreo.world_model.encoder import preprocess

STEPS = 60


def ramps() -> list[Any]:
    """Observations [t, 10 t, 1] at step t, two episodes."""
    t = np.arange(STEPS + 1.0)
    states = np.stack([t, 10 * t, np.ones_like(t)], axis=1)
    return [episode_of(k, codes=np.zeros(STEPS + 1), observations=states) for k in range(2)]


SPREAD = Spread(np.array([4.0, 100.0, 0.0]))


def test_nothing_changes_on_a_ramp() -> None:
    # k steps ahead the errors are k and 10 k: (k^2 / 4 + 100 k^2 / 100) / 2, the constant left out.
    result = measure_model_error({"trained": make_agent()}, ramps(), SPREAD, seed=0)
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
    result = measure_model_error({"trained": agent}, ramps(), SPREAD, seed=0)
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
    measure_model_error({"trained": agent}, [episode], SPREAD, seed=0)
    actions = batches[0].action[0, :, 0].numpy()
    assert actions[0] == 0
    np.testing.assert_allclose(actions[1:], np.arange(CONTEXT + 44) / 100, rtol=1e-6)


def test_short_episodes_measure_what_fits() -> None:
    agents = {"trained": make_agent()}
    short = [episode.cut(CONTEXT + 9) for episode in ramps()]
    result = measure_model_error(agents, short, SPREAD, seed=0)
    assert result is not None
    assert result.to_json()["trained"][2:] == [None, None]
    assert result.to_json()["trained"][1] is not None
    assert measure_model_error(agents, [e.cut(CONTEXT - 1) for e in ramps()], SPREAD, 0) is None


def noise(count: int, length: int = STEPS) -> list[Any]:
    """Episodes whose pictures are noise of 8 x 8 large pixels, the left half of them constant."""
    rng = np.random.default_rng(0)
    made = []
    for skill in range(count):
        blocks = rng.integers(0, 256, (length + 1, 3, 8, 8), dtype=np.uint8)
        blocks[..., :4] = 77
        images = blocks.repeat(8, axis=2).repeat(8, axis=3)
        made.append(episode_of(skill, images=images))
    return made


def pictured(monkeypatch: pytest.MonkeyPatch, predict: Any) -> Any:
    """An agent whose model predicts what `predict` makes of the true images (B, H, 3, 64, 64)."""
    agent = make_agent(PictureEnvironment().spec)

    def open_loop(batch: Batch, context: int, generator: torch.Generator) -> dict[str, Any]:
        return {"image": predict(preprocess(batch.observation)["image"][:, context:])}

    monkeypatch.setattr(agent.world_model, "open_loop", open_loop)
    return agent


def test_images_predicted_perfectly_have_no_error_and_the_mean_image_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    episodes = noise(40)
    spread = measure_spread(episodes)
    images = np.concatenate([episode.images["image"] for episode in episodes])
    pixels = images[:, :, ::8, ::8] / 255 - 0.5
    assert spread.images == pytest.approx(pixels.var(0).mean(), rel=1e-5)
    mean = torch.as_tensor(images.mean(0) / 255 - 0.5)
    agents = {
        "perfect": pictured(monkeypatch, lambda truth: truth),
        "mean": pictured(monkeypatch, lambda truth: mean.expand_as(truth)),
    }
    result = measure_model_error(agents, episodes, spread, seed=0)
    assert result is not None
    assert result.sequences == IMAGE_WINDOWS
    assert (result.errors["perfect"] == 0).all()
    np.testing.assert_allclose(result.errors["mean"], 1, atol=0.05)
    assert result.errors["mean"].mean() == pytest.approx(1, abs=0.01)
    # Two independent draws differ by twice the variance.
    assert result.errors["nothing_changes"].mean() == pytest.approx(2, abs=0.1)


def test_images_are_predicted_a_few_sequences_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    agent = pictured(monkeypatch, lambda truth: sizes.append(len(truth)) or truth)
    episodes = noise(10)
    assert measure_model_error({"a": agent}, episodes, measure_spread(episodes), 0) is not None
    assert sizes == [8, 2]


def test_vectors_and_images_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    episodes = noise(4)
    for episode in episodes:
        t = np.arange(STEPS + 1.0, dtype=np.float32)
        episode.observations["observation"] = np.stack([t, 10 * t, np.ones_like(t)], axis=1)
    agent = make_agent(PictureEnvironment(vectors=True).spec)

    def open_loop(batch: Batch, context: int, generator: torch.Generator) -> dict[str, Any]:
        truth = {k: v[:, context:] for k, v in preprocess(batch.observation).items()}
        return {"image": truth["image"], "observation": truth["observation"] + 2}

    monkeypatch.setattr(agent.world_model, "open_loop", open_loop)
    result = measure_model_error({"a": agent}, episodes, Spread(SPREAD.vectors, 0.1), seed=0)
    assert result is not None
    np.testing.assert_allclose(result.parts["vectors"]["a"], 0.52, rtol=1e-5)
    np.testing.assert_array_equal(result.parts["images"]["a"], 0)
    np.testing.assert_allclose(result.errors["a"], 0.26, rtol=1e-5)
    data = result.to_json()
    assert data["vectors"]["a"][0] == pytest.approx(0.52)
    assert data["images"]["a"][0] == 0


def test_without_kept_images_nothing_is_measured() -> None:
    episodes = [episode.with_images(np.arange(CONTEXT)) for episode in noise(2)]
    agent = make_agent(PictureEnvironment().spec)
    assert measure_model_error({"a": agent}, episodes, measure_spread(episodes), 0) is None
