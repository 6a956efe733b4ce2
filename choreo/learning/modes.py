"""How an update is run: eager, compiled, captured as CUDA graphs, or both.

All take the same steps in the same order on the same random numbers and agree within
rounding. What the host decides between two parts (`Part.after`) is never compiled or captured.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from choreo import native
from choreo.capture import CudaRecorder, Recorder, Replay, fill, untouched
from choreo.errors import UsageError
from choreo.learning.update import Metrics, Part, Update
from choreo.nn import pieces
from choreo.world_model import Batch

Mode = Literal["auto", "eager", "compiled", "captured", "captured-compiled"]
"""How updates are run; auto is captured on CUDA and eager on a CPU."""


def choose_mode(mode: Mode, device: torch.device) -> Mode:
    """What `mode` means on this device; refuses to capture where there is no CUDA."""
    if mode.startswith("captured") and device.type != "cuda":
        raise UsageError(
            f"--mode {mode} records CUDA graphs, and the networks are on the {device.type}; use "
            "--mode auto, or --device cuda where there is a card"
        )
    if mode == "auto":
        return "captured" if device.type == "cuda" else "eager"
    return mode


class Runner:
    """Runs the parts of an update as they are: eager."""

    def begin(self, update: Update, parts: Sequence[Part]) -> Update:
        """The update as these parts are to see it, in this order."""
        return update

    def run(self, part: Part, update: Update) -> Metrics:
        """One part of the update that `begin` gave; its metrics stay good."""
        return part.update(update)


NO_COMPILER = "Failed to find C compiler"  # says Triton when it first starts a kernel
VARIANTS = 64  # of a piece: shapes, and what has a gradient; with more, PyTorch gives up on it


class Compiler:
    """Compiles pieces of steps (choreo/nn/pieces.py); `backend` is what PyTorch calls one."""

    def __init__(self, backend: str | Callable[..., Any] = "inductor") -> None:
        self._backend = backend
        self._compiled: dict[Callable[..., Any], Callable[..., Any]] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Run pieces compiled, within; says what to do where PyTorch cannot compile."""
        from torch._dynamo import config  # takes seconds; other modes go without
        from torch._dynamo.exc import TorchDynamoException

        try:
            with config.patch(recompile_limit=VARIANTS), pieces.run_as(self._compile):
                yield
        except RuntimeError as error:
            said = str(error).strip()
            if not isinstance(error, TorchDynamoException) and NO_COMPILER not in said:
                raise
            raise UsageError(
                f"PyTorch could not compile this ({said.splitlines()[0]}): it needs a C++ compiler "
                "on a CPU, and Triton and a C compiler on CUDA; --mode eager needs none of them"
            ) from error

    def _compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if function not in self._compiled:
            self._compiled[function] = torch.compile(function, backend=self._backend, dynamic=False)
        return self._compiled[function]


class Compiled(Runner):
    """The pieces of steps go through `torch.compile`; all else stays eager.

    The first update compiles, which takes seconds. On a CPU this stands for the native kernels.
    """

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler

    def run(self, part: Part, update: Update) -> Metrics:
        kernels = native.plain() if update.batch.reward.is_cpu else nullcontext()
        with kernels, self._compiler.at_work():
            return part.update(update)


@dataclass(frozen=True)
class _Plan:
    """The graphs of one set of parts, on one update that stays in memory."""

    update: Update
    graphs: dict[str, tuple[Replay, list[str], Tensor]]
    """By part: its replay, the names of its metrics and their values in the graph's memory."""


class Captured(Runner):
    """Every part is a CUDA graph, recorded when its set of parts first comes up.

    Args:
        recorder: what records; CUDA's, or another in tests.
        changed: every tensor that an update changes. Warming up leaves them as they were.
        compiler: compiles pieces of steps while warming up, so that a graph holds fewer and
            larger kernels; None records them as they are.
    """

    def __init__(
        self,
        recorder: Recorder,
        changed: Callable[[], Iterable[Tensor]],
        compiler: Compiler | None = None,
    ) -> None:
        self._recorder, self._changed, self._compiler = recorder, changed, compiler
        self._plans: dict[tuple[Any, ...], _Plan] = {}
        self._plan: _Plan | None = None

    def begin(self, update: Update, parts: Sequence[Part]) -> Update:
        tensors = _tensors(update.batch)
        shapes = tuple((name, tensor.shape) for name, tensor in tensors.items())
        key = (tuple(part.name for part in parts), shapes)
        if key not in self._plans:
            self._plans[key] = self._record(update, parts)
        self._plan = self._plans[key]
        fill(_tensors(self._plan.update.batch), tensors)
        self._plan.update.number = update.number
        return self._plan.update

    def run(self, part: Part, update: Update) -> Metrics:
        assert self._plan is not None and update is self._plan.update
        replay, names, values = self._plan.graphs[part.name]
        replay()
        return dict(zip(names, values.clone().unbind(), strict=True))

    def _record(self, update: Update, parts: Sequence[Part]) -> _Plan:
        static = replace(update, batch=_copy(update.batch), timer=lambda name: nullcontext())

        def all_parts() -> None:
            for part in parts:
                part.update(static)

        graphs = {}
        with nullcontext() if self._compiler is None else self._compiler.at_work():
            with untouched(self._changed(), update.generator):
                self._recorder.warm_up(all_parts)
            for part in parts:
                replay, found = self._recorder.record(lambda part=part: _run(part, static))
                graphs[part.name] = (replay, *found)
        return _Plan(static, graphs)


def make_runner(
    mode: Mode,
    device: torch.device,
    generator: torch.Generator,
    changed: Callable[[], Iterable[Tensor]],
) -> Runner:
    """What runs the parts of a learner whose networks are on `device`, see `Captured`."""
    match choose_mode(mode, device):
        case "captured":
            return Captured(CudaRecorder(device, generator), changed)
        case "captured-compiled":
            return Captured(CudaRecorder(device, generator), changed, Compiler())
        case "compiled":
            return Compiled(Compiler())
        case _:
            return Runner()


def _run(part: Part, update: Update) -> tuple[list[str], Tensor]:
    """Names of a part's metrics, and their values as one vector."""
    metrics = part.update(update)
    return list(metrics), torch.stack([value.to(torch.float32) for value in metrics.values()])


def _tensors(batch: Batch) -> dict[str, Tensor]:
    """All tensors of a batch by the names they have in replay."""
    own = {f.name: getattr(batch, f.name) for f in fields(batch) if f.name != "observation"}
    return {**batch.observation, **own}


def _copy(batch: Batch) -> Batch:
    tensors = {name: tensor.clone() for name, tensor in _tensors(batch).items()}
    return Batch.from_tensors(tensors, list(batch.observation))
