"""Acting by graphs is acting; here operations recorded on the CPU stand in for CUDA's."""

import numpy as np
import pytest
import torch
from toy_agents import copies, toy_agent
from toy_graphs import OperationRecorder

import choreo.agent.acting
from choreo import native
from choreo.agent import Parts
from choreo.agent.acting import Session


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[OperationRecorder]:
    """Every recorder that is made; no native kernels, as on CUDA."""
    made: list[OperationRecorder] = []

    def make(device: torch.device, generator: torch.Generator) -> OperationRecorder:
        made.append(OperationRecorder(generator))
        return made[-1]

    monkeypatch.setattr(choreo.agent.acting, "CudaRecorder", make)
    monkeypatch.setattr(native, "usable", lambda *tensors: False)
    return made


def sessions(parts: Parts, num: int = 3) -> tuple[Session, Session]:
    """One that acts as it is and one that acts by graphs."""
    one, other = toy_agent(parts), toy_agent(parts)
    other.captures = True
    return one.session(num, seed=4), other.session(num, seed=4)


def observation(step: int, num: int = 3) -> np.ndarray:
    return np.random.default_rng(step).normal(size=(num, 4)).astype(np.float32)


@pytest.mark.parametrize("parts", ["pretraining", "adaptation"])
def test_graphs_act_as_the_networks_do(parts: Parts, recorders: list[OperationRecorder]) -> None:
    """Bitwise: with every policy in turn, episodes that begin, and another stream later."""
    eager, captured = sessions(parts)
    own = "explore" if parts == "pretraining" else "task"
    ways = [{"policy": own, "sample": True}, {"skill": 2}, {"skill": np.array([0, 1, 4])}]
    ways += [{"policy": own}, {"policy": "random"}, {"skill": 1, "sample": True}]
    for step in range(24):
        first = np.array([step == 7, False, step % 5 == 0])
        seen, way = observation(step), ways[step % len(ways)]
        if step == 15:
            for session in (eager, captured):
                session.generator = torch.Generator().manual_seed(9)
        one, two = (s.act(seen, is_first=first, **way) for s in (eager, captured))
        np.testing.assert_array_equal(one, two)
        assert eager.deter.equal(captured.deter)
    assert [r.calls.count("warm up") for r in recorders] == [5, 5], "one graph for every way"


def test_what_a_session_gave_stays_as_it_was(recorders: list[OperationRecorder]) -> None:
    _, session = sessions("pretraining")
    session.act(observation(0), skill=1)
    deter, before = session.deter, session.deter.clone()
    session.act(observation(1), skill=1)
    assert deter.equal(before)


def test_a_restored_session_goes_on_by_graphs(recorders: list[OperationRecorder]) -> None:
    _, session = sessions("pretraining")
    session.act(observation(0), skill=1, sample=True)
    recorded = {key: value.clone() for key, value in session.state_dict().items()}
    one = session.act(observation(1), skill=1, sample=True)
    session.load_state_dict(recorded)
    np.testing.assert_array_equal(one, session.act(observation(1), skill=1, sample=True))


def test_a_learned_step_shows_in_the_next_action(recorders: list[OperationRecorder]) -> None:
    """The graph reads the weights where they lie."""
    eager, captured = sessions("pretraining")
    for session in (eager, captured):
        session.act(observation(0), skill=1)
        with torch.no_grad():
            for parameter in session.agent.parameters():
                parameter.mul_(1.1)
    one, two = (s.act(observation(1), skill=1) for s in (eager, captured))
    np.testing.assert_array_equal(one, two)


def test_a_cpu_acts_without_graphs(recorders: list[OperationRecorder]) -> None:
    agent = toy_agent()
    before = copies(agent)
    agent.session().act(observation(0)[0], skill=1)
    assert recorders == [] and before.keys() == agent.state_dict().keys()
