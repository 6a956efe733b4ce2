"""What runs on CUDA, on a card that is not there: nothing mixes devices, nothing waits unasked."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_agents import CONFIG, SPEC, toy_agent, toy_batch
from toy_card import CUDA, Stream, a_card, of_host, waits
from toy_runs import SMALL, last_checkpoint, metrics

from choreo import native
from choreo.agent import Agent, Parts
from choreo.cli import main
from choreo.envs.spaces import ArraySpec
from choreo.exploration import ExplorationConfig
from choreo.learning.learner import Learner, adaptation_learner, pretraining_learner
from choreo.learning.modes import Mode
from choreo.nn import OptimizerConfig
from choreo.nn.precision import Precision
from choreo.replay import Replay, SequenceSampler
from choreo.training.batches import HostBatches, MirroredBatches
from choreo.training.finite import FiniteCheck
from choreo.world_model import Batch

RATES = OptimizerConfig(model_lr=1e-3, behavior_lr=1e-3)
IMAGES = replace(SPEC, observations=SPEC.observations | {"eye": ArraySpec((3, 32, 32), "uint8")})
PICTURES = replace(CONFIG, model=replace(CONFIG.model, image_depth=2))


def learner(parts: Parts, device: str, precision: Precision, mode: Mode = "eager") -> Learner:
    """Of an agent that sees a vector and an image."""
    build = pretraining_learner if parts == "pretraining" else adaptation_learner
    agent = Agent(IMAGES, PICTURES, parts).to(device)
    generator = torch.Generator(device).manual_seed(0)
    return build(agent, RATES, generator, mode=mode, precision=precision)


def batch(number: int, device: str) -> Batch:
    random, found = torch.Generator().manual_seed(number), toy_batch(number)
    image = torch.randint(0, 256, (3, 6, 3, 32, 32), generator=random, dtype=torch.uint8)
    tensors = {f.name: getattr(found, f.name) for f in fields(Batch)[1:]}
    seen = {**found.observation, "eye": image}
    tensors = {name: tensor.to(device) for name, tensor in (tensors | seen).items()}
    return Batch.from_tensors(tensors, list(seen))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("parts", ["pretraining", "adaptation"])
def test_updates_on_a_card_are_those_without_one_and_never_wait(
    parts: Parts, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without native kernels; over resampled codes and copied critics."""
    monkeypatch.setattr("choreo.nn.precision.LARGE", 2**10)
    host = learner(parts, "cpu", precision)
    with a_card():
        card = learner(parts, "cuda", precision)
    tolerance = 1e-3 if precision == "fp32" else 5e-2
    for number in range(5):
        with native.plain():
            expected = host.update(batch(number, "cpu"))
        with a_card():
            given = batch(number, "cuda")
            waits.clear()
            found = card.update(given)
            assert waits == []
        for key, value in expected.items():
            other = of_host(found[key]).float()
            torch.testing.assert_close(other, value.float(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", ["plan2explore", "rnd"])
def test_every_kind_of_exploration_stays_on_the_card(kind: str) -> None:
    with a_card():
        exploration = ExplorationConfig(kind=kind, layers=1, units=8)  # pyright: ignore[reportArgumentType]
        agent = toy_agent(exploration=exploration).to(CUDA)
        card = pretraining_learner(agent, RATES, Stream(CUDA).manual_seed(0))
        found = toy_batch(0)
        seen = {key: value.to(CUDA) for key, value in found.observation.items()}
        rest = {f.name: getattr(found, f.name).to(CUDA) for f in fields(Batch)[1:]}
        waits.clear()
        given = card.update(Batch(seen, **rest))
        assert waits == [] and all(value.is_cuda for value in given.values())


def test_acting_waits_for_its_actions_alone() -> None:
    """Beside the copies of what was observed; graphs act as the networks do."""
    with a_card():
        sessions = []
        for captures in (False, True):
            agent = toy_agent("adaptation").to(CUDA)
            agent.captures = captures
            sessions.append(agent.session(3, seed=4))
        for step in range(6):
            seen = np.random.default_rng(step).normal(size=(3, 4)).astype(np.float32)
            waits.clear()
            way = {"skill": 1} if step % 2 else {"sample": True}
            one, two = (session.act(seen, **way) for session in sessions)
            np.testing.assert_array_equal(one, two)
            to_card, back = waits.count("copied to cuda"), waits.count("copied to cpu")
            assert (to_card, back) == ((6, 2) if step % 2 else (4, 2)) and len(waits) == to_card + 2


def test_batches_come_without_waiting_and_finite_updates_are_looked_at_later(
    tmp_path: Path,
) -> None:
    keys = {"image": ((3, 4, 4), "uint8"), "reward": ((), "float32"), "is_first": ((), "bool")}
    replay = Replay(tmp_path, keys, streams=1, segment_steps=8)
    for _ in range(20):
        replay.append({name: np.ones((1, *shape), kind) for name, (shape, kind) in keys.items()})
    with a_card():
        sampler = SequenceSampler(replay, 2, 4, np.random.default_rng(1))
        for source in (HostBatches(sampler, CUDA), MirroredBatches(sampler, CUDA, 20)):
            assert all(tensor.is_cuda for tensor in source.sample().tensors.values())
        check = FiniteCheck(tmp_path)
        check.watch(1, "here", {"a": torch.ones((), device="cuda")}, {})
        assert waits == ["event recorded"]
        check.watch(2, "here", {"a": torch.ones((), device="cuda")}, {})
        assert waits == ["event recorded"] * 2 + ["event awaited"]


def test_runs_on_a_card_go_on_and_are_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pre-training, fine-tuning that is stopped and resumed, evaluation; loaded without a card."""
    common = [option for option in SMALL if option not in ("--device", "cpu")]
    common += ["--device", "cuda", "--env", "toy_envs:point"]
    first, second = str(tmp_path / "pretrain"), str(tmp_path / "finetune")
    with a_card():
        pretrain = ["pretrain", *common, "--snapshots", "--frames", "50", "--run-dir", first]
        assert main(pretrain) == 0
        for frames in ("45", "55"):
            finetune = ["finetune", *common, "--from", first, "--frames", frames]
            assert main([*finetune, "--run-dir", second]) == 0
        assert main(["evaluate", second, "--device", "cuda", "--episodes", "1"]) == 0
    assert "updates run captured on cuda" in capsys.readouterr().err
    assert [line for line in metrics(Path(second)) if line["kind"] == "train"]
    assert last_checkpoint(Path(second)).exists()
    assert main(["evaluate", second, "--device", "cpu", "--episodes", "1"]) == 0
