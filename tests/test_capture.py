"""What is asked of CUDA, in which order; a card itself is asked in tests/gpu."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from choreo.capture import WARM_UPS, CudaRecorder, fill, untouched
from choreo.errors import UsageError

CUDA = torch.device("cuda", 0)


class Fake:
    """Streams and graphs that note what is done with them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.made = 0
        self.now = "main"

    def stream(self, device: torch.device) -> "FakeStream":
        return FakeStream(self, "side")

    @contextmanager
    def on(self, stream: "FakeStream") -> Iterator[None]:
        before, self.now = self.now, stream.name
        yield
        self.now = before

    @contextmanager
    def recording(self, graph: "FakeGraph", pool: str, stream: "FakeStream") -> Iterator[None]:
        self.calls.append(f"begin {graph.name} in {pool} on {stream.name}")
        with self.on(stream):
            yield
        self.calls.append(f"end {graph.name}")

    def graph(self) -> "FakeGraph":
        self.made += 1
        return FakeGraph(self, f"graph {self.made}")


class FakeStream:
    def __init__(self, fake: Fake, name: str) -> None:
        self.fake, self.name = fake, name

    def wait_stream(self, other: "FakeStream") -> None:
        self.fake.calls.append(f"{self.name} waits for {other.name}")


class FakeGraph:
    def __init__(self, fake: Fake, name: str) -> None:
        self.fake, self.name = fake, name

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.fake.calls.append(f"{self.name} takes the stream of seed {generator.initial_seed()}")

    def replay(self) -> None:
        self.fake.calls.append(f"replay {self.name}")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    found = Fake()
    replaced: dict[str, Any] = {
        "Stream": found.stream,
        "stream": found.on,
        "current_stream": lambda device: FakeStream(found, found.now),
        "graph_pool_handle": lambda: "pool",
        "CUDAGraph": found.graph,
        "graph": found.recording,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return found


def test_graphs_share_a_pool_and_a_stream_and_know_the_generator(fake: Fake) -> None:
    recorder = CudaRecorder(CUDA, torch.Generator().manual_seed(5))
    recorder.warm_up(lambda: fake.calls.append(f"run on {fake.now}"))
    first, one = recorder.record(lambda: fake.calls.append(f"run on {fake.now}") or 1)
    second, two = recorder.record(lambda: 2)
    for replay in (first, second, first):
        replay()
    assert (one, two) == (1, 2)
    assert fake.calls == [
        "side waits for main",
        *["run on side"] * WARM_UPS,
        "main waits for side",
        "graph 1 takes the stream of seed 5",
        "begin graph 1 in pool on side",
        "run on side",
        "end graph 1",
        "graph 2 takes the stream of seed 5",
        "begin graph 2 in pool on side",
        "end graph 2",
        *["replay graph 1", "replay graph 2", "replay graph 1"],
    ]


def test_what_cannot_be_recorded_is_refused_with_advice(fake: Fake) -> None:
    def refuse() -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    with pytest.raises(UsageError, match=r"\(operation not permitted .* capturing\); --mode eager"):
        CudaRecorder(CUDA, torch.Generator()).record(refuse)


def test_untouched_puts_everything_back_after_an_error_too() -> None:
    weight, generator = torch.nn.Parameter(torch.ones(3)), torch.Generator().manual_seed(1)
    count, state = torch.zeros((), dtype=torch.int64), generator.get_state()
    with pytest.raises(ValueError, match="stop"), untouched([weight, count], generator):
        with torch.no_grad():
            weight.mul_(2)
        count += 1
        torch.rand(3, generator=generator)
        raise ValueError("stop")
    assert weight.equal(torch.ones(3)) and weight.requires_grad and int(count) == 0
    assert generator.get_state().equal(state)


def test_fill_copies_into_what_is_there_by_name() -> None:
    static = {"a": torch.zeros(2), "b": torch.zeros(1)}
    places = [tensor.data_ptr() for tensor in static.values()]
    fill(static, {"b": torch.ones(1), "a": torch.tensor([1.0, 2.0])})
    assert [tensor.tolist() for tensor in static.values()] == [[1.0, 2.0], [1.0]]
    assert [tensor.data_ptr() for tensor in static.values()] == places
