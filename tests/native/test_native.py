"""Native kernels equal their plain versions, in values and in gradients."""

import ctypes
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from choreo import native
from choreo.native import build
from choreo.nn import one_hot_straight_through, uniform_for
from choreo.skills import entropy_reward
from choreo.world_model.rssm import LayerNormGRU

needs_kernels = pytest.mark.skipif(native.library() is None, reason="no C compiler here")


def plain(function: Callable[[], Tensor]) -> Tensor:
    """What a function gives without the kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "usable", lambda *_: False)
        return function()


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@needs_kernels
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 1400), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_entropy_reward(particles: int, size: int, neighbours: int, seed: int) -> None:
    x = numbers(particles, size, seed=seed)
    x[: particles // 3] = x[-1]  # equal particles: ties, and distances of zero
    expected = plain(lambda: entropy_reward(x, neighbours, 1e-4))
    # |x|^2 - 2 x y + |y|^2 of equal particles is what rounding leaves of |x|^2.
    rounding = float((x.square().sum(-1).max() * 2**-21).sqrt())
    found = entropy_reward(x, neighbours, 1e-4)
    torch.testing.assert_close(found, expected, atol=max(2e-4, rounding), rtol=1e-4)


def test_a_particle_that_is_not_a_number_has_no_finite_reward() -> None:
    """With kernels its distances pass the heaps by; nobody else is harmed."""
    x = numbers(1100, 3)
    x[7, 1] = torch.nan
    for reward in (entropy_reward(x, 5, 0.0), plain(lambda: entropy_reward(x, 5, 0.0))):
        assert reward.isfinite().logical_not().nonzero().tolist() == [[7]]


@needs_kernels
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.1, 40), st.integers(0, 99))
def test_samples_and_their_gradient(rows: int, classes: int, scale: float, seed: int) -> None:
    logit = (scale * numbers(rows, 3, classes, seed=seed)).requires_grad_()
    grad = numbers(rows, 3, classes, seed=seed + 1)
    uniform = uniform_for(logit, torch.Generator().manual_seed(seed))

    def sampled() -> Tensor:
        sample = one_hot_straight_through(logit, uniform)
        (gradient,) = torch.autograd.grad(sample, logit, grad)
        return torch.stack([sample.detach(), gradient])

    torch.testing.assert_close(sampled(), plain(sampled), atol=1e-6, rtol=1e-5)


@needs_kernels
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.floats(0.1, 10), st.integers(0, 99))
def test_cell_and_its_gradients(rows: int, size: int, scale: float, seed: int) -> None:
    torch.manual_seed(seed)
    cell = LayerNormGRU(5, size)
    torch.nn.init.normal_(cell.norm.weight)
    torch.nn.init.normal_(cell.norm.bias)
    x, deter = (scale * numbers(rows, 5)).requires_grad_(), numbers(rows, size).requires_grad_()

    def called() -> Tensor:
        new = cell(x, deter)
        gradients = torch.autograd.grad(new, [x, deter, *cell.parameters()], numbers(rows, size))
        return torch.cat([new.detach().flatten(), *(g.flatten() for g in gradients)])

    torch.testing.assert_close(called(), plain(called), atol=2e-5, rtol=1e-4)


@needs_kernels
def test_what_is_not_a_number_stays_visible() -> None:
    deter = torch.full((2, 4), torch.nan)
    assert LayerNormGRU(3, 4)(torch.zeros(2, 3), deter).isnan().all()


@needs_kernels
def test_double_precision_takes_the_plain_version() -> None:
    assert native.usable(torch.zeros(1))
    assert not native.usable(torch.zeros(1, dtype=torch.float64))


SAY = "from choreo import native; print(native.library() is None)"


def in_a_new_process(variables: dict[str, str]) -> str:
    run = subprocess.run(
        [sys.executable, "-c", SAY],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return run.stdout.strip()


def test_kernels_can_be_turned_off() -> None:
    assert in_a_new_process({"CHOREO_NATIVE": "0"}) == "True"


def test_without_a_compiler_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\n[ $1 = --version ] || { echo it broke >&2; exit 1; }\n")
    broken.chmod(0o755)
    for compiler, why in (("no-such-compiler", "no C compiler"), (str(broken), "it broke")):
        monkeypatch.setenv("CC", compiler)
        caplog.clear()
        with caplog.at_level(logging.INFO, "choreo"):
            assert build.loaded.__wrapped__() is None
        assert "plain PyTorch" in caplog.text and why in caplog.text


POOR_COMPILER = """#!/bin/sh
case " $* " in *" -fopenmp "*) {deed};; esac
exec {compiler} "$@"
"""
DEEDS = {  # what a compiler does that has no OpenMP, or cannot find its library
    "refuses": "echo no OpenMP >&2; exit 1",
    "makes what cannot be loaded": 'for last in "$@"; do [ "$before" = -o ] && echo no > "$last"; '
    'before="$last"; done; exit 0',
}


@needs_kernels
@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_a_compiler_without_openmp_builds_kernels_for_one_thread(
    deed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    poor, compiler = tmp_path / "poor-cc", shutil.which(os.environ.get("CC", "cc"))
    poor.write_text(POOR_COMPILER.format(deed=deed, compiler=compiler))
    poor.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", str(poor))
    x = numbers(2**18)
    expected = native.elu_(x.clone())
    for _ in range(2):  # built, and found in the cache
        caplog.clear()
        with caplog.at_level(logging.INFO, "choreo"):
            found = build.loaded.__wrapped__()
        assert found is not None and "on one thread" in caplog.text
        kernels = found.library
        assert kernels.choreo_threads(2) == 0
    y = x.clone()
    kernels.choreo_elu(ctypes.c_void_p(y.data_ptr()), ctypes.c_long(y.numel()))
    assert torch.equal(y, expected)


@needs_kernels
def test_the_library_is_built_once_into_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.loaded.__wrapped__() is not None
    (built,) = tmp_path.rglob("*.so")
    before = built.stat().st_mtime_ns
    assert build.loaded.__wrapped__() is not None
    assert [path.stat().st_mtime_ns for path in tmp_path.rglob("*.so")] == [before]


def test_nan_is_not_hidden_by_a_sample() -> None:
    logit = torch.tensor([[0.0, float("nan")], [0.0, 1.0]])
    uniform = uniform_for(logit)
    for sample in (
        one_hot_straight_through(logit, uniform),
        plain(lambda: one_hot_straight_through(logit, uniform)),
    ):
        assert sample[0].isnan().all() and sample[1].sum() == 1
