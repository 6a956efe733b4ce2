"""Figures of what a device did, from events as the profiler gives them."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from choreo.bench.trace import covered, trace, work_of
from choreo.cli import main


def event(name: str, device: str, start: float = 0, end: float = 0, note: bool = False) -> Any:
    return SimpleNamespace(
        name=name,
        device_type=SimpleNamespace(name=device),
        time_range=SimpleNamespace(start=start, end=end),
        is_user_annotation=note,
    )


def test_kernels_count_once_where_they_overlap_and_annotations_never() -> None:
    events = [
        event("cudaLaunchKernel", "CPU"),
        event("cuLaunchKernelEx", "CPU"),
        event("cudaGraphLaunch", "CPU"),
        event("aten::mm", "CPU", 0, 5000),
        event("gemm", "CUDA", 100, 400),
        event("gemm", "CUDA", 300, 600),
        event("Memcpy DtoD", "CUDA", 900, 1000),
        event("Optimizer.step", "CUDA", 0, 2000, note=True),
    ]
    work = work_of(events, ms_per_update=2.0)
    assert (work.launches, work.kernels) == (3, 3)
    assert work.busy == pytest.approx(0.6 / 2.0)


def test_covered_length() -> None:
    assert covered([]) == 0
    assert covered([(0, 2), (1, 5), (2, 3), (7, 8)]) == 6


def test_the_profilers_events_have_what_is_asked_of_them() -> None:
    with profile(activities=[ProfilerActivity.CPU]) as found:
        torch.ones(3).sum()
    events = list(found.events() or ())
    assert "CPU" in {e.device_type.name for e in events} and "aten::sum" in {e.name for e in events}
    work = work_of(events, 1.0)
    assert (work.launches, work.kernels, work.busy) == (0, 0, 0)


def test_there_is_nothing_to_trace_on_a_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--preset", "debug", "--device", "cpu", "--updates", "1", "--trace"]
    assert main(["bench", "update", *options]) == 2
    assert "--trace" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_products_on_a_device_are_seen() -> None:
    a = torch.randn(512, 512, device="cuda")
    work = trace(lambda: a @ a @ a, ms_per_update=1.0)
    assert work.launches >= 2 and work.kernels >= 2 and work.busy > 0
