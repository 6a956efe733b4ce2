"""What only a card can show: graphs of CUDA, and that no update waits for the card."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_agents import copies, toy_agent, toy_batch
from toy_graphs import PIECES, Piece, with_gradient
from toy_runs import SMALL, metrics

from choreo.agent import Parts
from choreo.cli import main
from choreo.learning.learner import Learner, adaptation_learner, pretraining_learner
from choreo.learning.modes import Compiler, Mode
from choreo.nn import OptimizerConfig
from choreo.replay import Replay, SequenceSampler
from choreo.training.batches import HostBatches, MirroredBatches
from choreo.world_model import Batch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]

RATES = OptimizerConfig(model_lr=1e-3, behavior_lr=1e-3)
BOTH: tuple[Parts, ...] = ("pretraining", "adaptation")
CUDA = torch.device("cuda")
COMPILED = [pytest.param(m, marks=pytest.mark.slow) for m in ("compiled", "captured-compiled")]


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Every wait of the host for the card is an error."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


def make(parts: Parts, mode: Mode) -> Learner:
    build = pretraining_learner if parts == "pretraining" else adaptation_learner
    generator = torch.Generator(CUDA).manual_seed(0)
    return build(toy_agent(parts).to(CUDA), RATES, generator, mode=mode)


def batch(seed: int) -> Batch:
    found = toy_batch(seed)
    rest = [f.name for f in fields(Batch) if f.name != "observation"]
    seen = {name: tensor.to(CUDA) for name, tensor in found.observation.items()}
    return replace(found, observation=seen, **{n: getattr(found, n).to(CUDA) for n in rest})


def resting(number: int) -> tuple[str, ...]:
    return ("exploration", "skills", "adaptation") if number < 2 else ()


@pytest.mark.filterwarnings("ignore:::torch")
@pytest.mark.parametrize("mode", ["captured", *COMPILED])
@pytest.mark.parametrize("parts", BOTH)
def test_modes_agree(parts: Parts, mode: Mode) -> None:
    eager, other = make(parts, "eager"), make(parts, mode)
    for number in range(20):
        one, two = (x.update(batch(number), resting(number)) for x in (eager, other))
        for key, value in one.items():
            torch.testing.assert_close(
                two[key].float(),
                value.float(),
                rtol=1e-3,
                atol=1e-4,
                msg=lambda said, where=f"update {number}, {key}": f"{where}: {said}",
            )
    assert eager.generator.get_state().equal(other.generator.get_state())
    assert eager.counters() == other.counters()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:::torch")
@pytest.mark.parametrize("rows", [18, 300])
@pytest.mark.parametrize("piece", PIECES)
def test_a_compiled_piece_is_the_piece(piece: Piece, rows: int) -> None:
    """Alone: where an update differs, this says by which piece."""
    found = with_gradient(piece, CUDA, rows)
    with Compiler().at_work():
        compiled = with_gradient(piece, CUDA, rows)
    torch.testing.assert_close(compiled, found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parts", BOTH)
def test_recording_leaves_no_trace(parts: Parts) -> None:
    learner = make(parts, "captured")
    learner.update(batch(0), resting(0))
    before, state = copies(learner.agent), learner.generator.get_state()
    moments = {key: value.clone() for key, value in learner.state_dict().items()}
    learner.runner.begin(learner.begin(batch(1)), learner.parts)  # another set of parts
    assert all(value.equal(before[key]) for key, value in copies(learner.agent).items())
    assert all(value.equal(moments[key]) for key, value in learner.state_dict().items())
    assert learner.generator.get_state().equal(state)


@pytest.mark.parametrize("mode", ["eager", "captured"])
@pytest.mark.parametrize("parts", BOTH)
def test_an_update_never_waits(parts: Parts, mode: Mode, request: pytest.FixtureRequest) -> None:
    """Also where codes are resampled (every fourth update) and slow critics are copied."""
    learner = make(parts, mode)
    learner.update(batch(0))  # records, which may wait
    batches = [batch(number) for number in range(1, 6)]
    request.getfixturevalue("no_waiting")
    for one in batches:
        learner.update(one)


def test_acting_by_graphs_is_acting() -> None:
    sessions = []
    for captures in (False, True):
        agent = toy_agent().to(CUDA)
        agent.captures = captures
        sessions.append(agent.session(3, seed=4))
    random = np.random.default_rng(0)
    ways = [{"policy": "explore", "sample": True}, {"skill": 2}, {"policy": "random"}]
    for step in range(12):
        seen = random.normal(size=(3, 4)).astype(np.float32)
        first = np.array([step == 7, False, step % 5 == 0])
        one, two = (s.act(seen, is_first=first, **ways[step % 3]) for s in sessions)
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_a_mirror_on_the_card_gives_the_hosts_batches(tmp_path: Path) -> None:
    keys = {"image": ((3, 4, 4), "uint8"), "reward": ((), "float32"), "is_first": ((), "bool")}
    replay = Replay(tmp_path, keys, streams=2, segment_steps=8)
    random = np.random.default_rng(0)

    def sampler() -> SequenceSampler:
        return SequenceSampler(replay, 5, 6, np.random.default_rng(1))

    host, pinned = sampler(), HostBatches(sampler(), CUDA)
    mirror = MirroredBatches(sampler(), CUDA, 20)
    for turn in range(40):
        replay.append(
            {
                "image": random.integers(0, 256, (2, 3, 4, 4)).astype(np.uint8),
                "reward": random.normal(size=2).astype(np.float32),
                "is_first": random.random(2) < 0.2,
            }
        )
        if turn > 6:
            wanted = host.sample()
            for source in (pinned, mirror):
                for name, tensor in source.sample().tensors.items():
                    assert tensor.is_cuda
                    np.testing.assert_array_equal(tensor.cpu().numpy(), wanted[name])


def test_a_run_on_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [option for option in SMALL if option not in ("--device", "cpu")]
    where = ["--env", "toy_envs:point", "--frames", "120", "--run-dir", str(tmp_path / "run")]
    assert main(["pretrain", *options, "--device", "cuda", "--snapshots", *where]) == 0
    assert [line for line in metrics(tmp_path / "run") if line["kind"] == "train"]
    said = capsys.readouterr().err
    assert "updates run captured on cuda" in said and "replay sampled on the card" in said
