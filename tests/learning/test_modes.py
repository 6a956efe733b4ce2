"""Eager, compiled and captured updates agree; what only CUDA can do stands in tests/gpu."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from torch._inductor.exc import TritonMissing
from toy_agents import changed, copies, toy_agent, toy_batch
from toy_graphs import PIECES, OperationRecorder, Operations, Piece, with_gradient

from choreo import native
from choreo.agent import Parts
from choreo.capture import untouched
from choreo.errors import UsageError
from choreo.exploration import ExplorationConfig
from choreo.learning.learner import Learner, adaptation_learner, pretraining_learner
from choreo.learning.modes import (
    NO_COMPILER,
    Captured,
    Compiled,
    Compiler,
    Mode,
    Runner,
    choose_mode,
)
from choreo.nn import OptimizerConfig, pieces

RATES = OptimizerConfig(model_lr=1e-3, behavior_lr=1e-3)
BOTH: tuple[Parts, ...] = ("pretraining", "adaptation")

# PyTorch's compiler does several things that PyTorch warns of.
tracing = pytest.mark.filterwarnings("ignore:::torch")


@pytest.fixture(autouse=True)
def nothing_compiled() -> None:
    """What other tests had compiled does not count: PyTorch gives up on what it compiles often."""
    torch._dynamo.reset()


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No native kernels: what runs is what runs on CUDA."""
    monkeypatch.setattr(native, "usable", lambda *tensors: False)


def make(parts: Parts, **changes: Any) -> Learner:
    build = pretraining_learner if parts == "pretraining" else adaptation_learner
    return build(toy_agent(parts, **changes), RATES, torch.Generator().manual_seed(0))


def captured(learner: Learner, compiler: Compiler | None = None) -> OperationRecorder:
    """Let operations recorded on the CPU run the learner."""
    recorder = OperationRecorder(learner.generator)
    learner.runner = Captured(recorder, learner.changing, compiler)
    return recorder


def everything(learner: Learner) -> dict[str, torch.Tensor]:
    state = {**copies(learner.agent), "stream": learner.generator.get_state()}
    return state | {key: value.clone() for key, value in learner.state_dict().items()}


def resting(number: int) -> tuple[str, ...]:
    """Some parts rest in the first updates, as they may in a run."""
    return ("exploration", "skills", "adaptation") if number < 2 else ()


@pytest.mark.parametrize("parts", BOTH)
@pytest.mark.parametrize("starts", [0, 5])
def test_captured_updates_are_the_eager_ones(parts: Parts, starts: int, plain: None) -> None:
    """Bitwise, over slow critics, resampled codes, resting parts and every drawn number."""
    imagination = replace(toy_agent().config.imagination, starts=starts)
    eager, other = make(parts, imagination=imagination), make(parts, imagination=imagination)
    captured(other)
    for number in range(20):
        batch = toy_batch(number)
        one, two = (x.update(batch, resting(number)) for x in (eager, other))
        assert one.keys() == two.keys()
        assert all(value.float().equal(two[key]) for key, value in one.items()), number
    first, second = everything(eager), everything(other)
    assert all(first[key].equal(second[key]) for key in first)
    assert eager.counters() == other.counters()


@pytest.mark.parametrize("kind", ["plan2explore", "rnd", "random"])
def test_every_kind_of_exploration_is_captured(kind: str, plain: None) -> None:
    exploration = ExplorationConfig(kind=kind, layers=1, units=8)  # pyright: ignore[reportArgumentType]
    eager, other = (make("pretraining", exploration=exploration) for _ in range(2))
    captured(other)
    for number in range(3):
        one, two = (x.update(toy_batch(number)) for x in (eager, other))
        assert all(value.float().equal(two[key]) for key, value in one.items()), number


def test_a_set_of_parts_is_warmed_up_and_recorded_once_and_replayed_in_order(plain: None) -> None:
    learner = make("pretraining")
    recorder = captured(learner)
    sets = [("exploration", "skills"), (), ("exploration", "skills"), ()]
    for number, skip in enumerate(sets):
        learner.update(toy_batch(number), skip)
    few, all_four = ["replay 1", "replay 2"], [f"replay {n}" for n in range(3, 7)]
    assert recorder.calls == [
        *["warm up", "record", "record", *few],
        *["warm up", *["record"] * 4, *all_four],
        *few,
        *all_four,
    ]


def test_batches_of_another_shape_have_graphs_of_their_own(plain: None) -> None:
    eager, other = make("pretraining"), make("pretraining")
    captured(other)
    for batch in (toy_batch(0), toy_batch(1, length=8), toy_batch(2)):
        one, two = eager.update(batch), other.update(batch)
        assert all(value.float().equal(two[key]) for key, value in one.items())


def test_metrics_stay_good_after_later_updates(plain: None) -> None:
    learner = make("pretraining")
    captured(learner)
    first = learner.update(toy_batch(0))
    before = {key: value.clone() for key, value in first.items()}
    learner.update(toy_batch(1))
    assert all(value.equal(before[key]) for key, value in first.items())


@pytest.mark.parametrize("parts", BOTH)
def test_warming_up_leaves_no_trace(parts: Parts) -> None:
    """The code that saves and restores is the one that CUDA uses."""
    learner, runner = make(parts), Runner()
    learner.update(toy_batch(0))
    before, counters = everything(learner), learner.counters()
    with untouched(learner.changing(), learner.generator):
        update = learner.begin(toy_batch(1))
        for _ in range(3):
            for part in learner.parts:
                runner.run(part, update)
        assert changed(before, learner.agent)
    after = everything(learner)
    assert all(after[key].equal(before[key]) for key in before)
    assert counters == learner.counters()


@pytest.mark.parametrize("parts", BOTH)
def test_an_update_asks_the_device_for_nothing(parts: Parts, plain: None) -> None:
    """Also where codes are resampled and slow critics are copied."""
    learner = make(parts)
    with Operations() as operations:
        for number in range(5):
            learner.update(toy_batch(number))
    assert operations.asked() == []
    with Operations() as operations:
        bool(torch.ones(()) > 0)
        torch.ones(3).max().item()
        torch.ones(3)[torch.ones(3) > 0]
    assert len(operations.asked()) == 3, "the count sees what it is to see"


def agree(eager: Learner, other: Learner, updates: int = 20, relative: float = 1e-3) -> None:
    for number in range(updates):
        batch = toy_batch(number, length=4)
        one, two = (x.update(batch, resting(number)) for x in (eager, other))
        for key, value in one.items():
            torch.testing.assert_close(
                two[key].float(), value.float(), rtol=relative, atol=1e-4, msg=key
            )
    first, second = everything(eager), everything(other)
    assert first["stream"].equal(second["stream"]), "both drew the same numbers"


@tracing
@pytest.mark.parametrize("parts", BOTH)
def test_pieces_are_compiled_whole_and_their_update_is_the_eager_one(parts: Parts) -> None:
    """Into graphs whose operations then run as they are; no code is generated, no kernel taken."""
    counters.clear()
    eager, other = make(parts), make(parts)
    other.runner = Compiled(Compiler("eager"))
    agree(eager, other, updates=6)
    assert not counters["graph_break"]
    graphs = counters["stats"]["unique_graphs"]
    assert graphs >= 4, "gates, samples and both halves of an action"
    agree(eager, other, updates=2)
    assert counters["stats"]["unique_graphs"] == graphs, "everything is compiled at first"


@tracing
@pytest.mark.parametrize("parts", BOTH)
def test_graphs_of_what_was_compiled_are_the_eager_update(parts: Parts, plain: None) -> None:
    """Everything is compiled while warming up, nothing while recording."""
    counters.clear()
    eager, other = make(parts), make(parts)
    recorder = captured(other, Compiler("eager"))
    agree(eager, other, updates=4)
    graphs = counters["stats"]["unique_graphs"]
    agree(eager, other, updates=2)
    assert counters["stats"]["unique_graphs"] == graphs >= 4 and not counters["graph_break"]
    assert recorder.calls.count("warm up") == 2, "without and with the parts that rest at first"


@tracing
@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_returns_what_it_did_not_write_into_and_keeps_its_gradient(
    piece: Piece, plain: None
) -> None:
    """Else PyTorch 2.11 compiles a gradient of zero, which 2.13 does not."""
    with_gradient(piece, torch.device("cpu"))  # makes what the piece belongs to
    with Operations() as operations:
        found = with_gradient(piece, torch.device("cpu"))
    written = [tensor.data_ptr() for tensor, _ in operations.before.values()]
    assert found[0].data_ptr() not in written
    with Compiler("eager").at_work():
        compiled = with_gradient(piece, torch.device("cpu"))
    torch.testing.assert_close(compiled, found)
    assert found[1].abs().sum() > 1


@tracing
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_updates_are_the_eager_ones(backend: str) -> None:
    """With the gradients that are traced, and with the code that is generated."""
    counters.clear()
    eager, other = make("adaptation"), make("adaptation")
    other.runner = Compiled(Compiler(backend))
    agree(eager, other)
    assert not counters["graph_break"]


NO_TRITON = TritonMissing(None)
NO_LAUNCHER = RuntimeError(f"{NO_COMPILER}. Please specify via CC environment variable")


@tracing
@pytest.mark.parametrize("error", [RuntimeError("no compiler"), NO_TRITON, NO_LAUNCHER])
def test_where_nothing_can_be_compiled_the_message_says_what_to_do(error: Exception) -> None:
    def backend(graph: object, inputs: object) -> None:
        raise error

    learner = make("adaptation")
    learner.runner = Compiled(Compiler(backend))
    advice = r"C\+\+ compiler on a CPU, and Triton and a C .* --mode eager needs none of them"
    with pytest.raises(UsageError, match=advice):
        learner.update(toy_batch(length=4))


def test_other_errors_of_compiled_updates_stay_what_they_are() -> None:
    """And what runs afterwards is not compiled."""
    compiler = Compiler("eager")
    for raised, expected in ((NO_LAUNCHER, UsageError), (RuntimeError("shapes"), RuntimeError)):
        with pytest.raises(expected), compiler.at_work():
            raise raised
    assert pieces._form is None and not native.is_plain()


def test_modes_are_chosen_by_the_device() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    expected: dict[tuple[Mode, torch.device], Mode] = {
        ("auto", cpu): "eager",
        ("auto", cuda): "captured",
        ("eager", cuda): "eager",
        ("compiled", cpu): "compiled",
        ("captured", cuda): "captured",
        ("captured-compiled", cuda): "captured-compiled",
    }
    for (mode, device), chosen in expected.items():
        assert choose_mode(mode, device) == chosen
    with pytest.raises(UsageError, match=r"--mode captured .* on the cpu; use --mode auto"):
        choose_mode("captured", cpu)
    with pytest.raises(UsageError, match="--mode captured-compiled records"):
        choose_mode("captured-compiled", cpu)
