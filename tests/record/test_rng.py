import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from choreo.errors import CheckpointError, UsageError
from choreo.record import Streams, derive_seed, episode_seed


def test_derived_seeds_are_stable() -> None:
    # Written down once: a change would change every run of every user.
    assert derive_seed(0) == 7896617691693857887
    assert derive_seed(7, "env", 3) == 8949549369186794227


def test_derived_seeds_differ_in_every_part() -> None:
    paths = [(), ("a",), ("b",), ("a", "b"), ("ab",), (1,), ("1",), (1, "a"), ("a", 1)]
    seeds = {derive_seed(seed, *path) for seed in (0, 1, 2**40) for path in paths}
    assert len(seeds) == 3 * len(paths)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_derived_seeds_are_the_same_in_another_process() -> None:
    code = "from choreo.record import derive_seed; print(derive_seed(3, 'env', 5))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(out.stdout) == derive_seed(3, "env", 5)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="-1"):
        Streams(-1)


def test_a_stream_depends_on_its_name_and_nothing_else() -> None:
    one, two = Streams(5), Streams(5)
    two.numpy("other").random(10)
    two.torch("action")
    first = one.numpy("action").random(4)
    np.testing.assert_array_equal(first, two.numpy("action").random(4))
    assert (first != Streams(5).numpy("sampler").random(4)).all()
    assert (first != Streams(6).numpy("action").random(4)).all()
    assert one.numpy("action") is one.numpy("action")
    assert one.torch("action") is one.torch("action")


def test_restored_streams_go_on_exactly() -> None:
    streams = Streams(1)
    rng, generator = streams.numpy("a"), streams.torch("b")
    rng.standard_normal(3)
    torch.randn(5, generator=generator)
    state = json.loads(json.dumps(streams.state()))
    late = streams.numpy("late")
    expected = rng.random(4), torch.randn(7, generator=generator), late.random(2)

    streams.restore(state)  # the objects handed out stay the same
    np.testing.assert_array_equal(rng.random(4), expected[0])
    assert torch.equal(torch.randn(7, generator=generator), expected[1])
    np.testing.assert_array_equal(late.random(2), expected[2])

    fresh = Streams(1)
    fresh.restore(state)
    np.testing.assert_array_equal(fresh.numpy("a").random(4), expected[0])
    assert torch.equal(torch.randn(7, generator=fresh.torch("b")), expected[1])


def test_a_state_of_another_seed_is_refused() -> None:
    with pytest.raises(CheckpointError, match="seed 1, the run's seed is 2"):
        Streams(2).restore(Streams(1).state())


def test_a_stream_of_a_device_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    state = {"seed": 0, "numpy": {}, "torch": {"a": {"device": "cuda", "state": ""}}}
    with pytest.raises(CheckpointError, match="cuda"):
        Streams(0).restore(state)


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state(), repr(np.random.get_state())
    streams = Streams(3)
    streams.numpy("a").random()
    torch.randn(3, generator=streams.torch("b"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]


def test_seeds_of_episodes_fit_32_bits_with_a_sign() -> None:
    seeds = {episode_seed(3, "env", number) for number in range(1000)}
    assert len(seeds) == 1000 and 2**30 < max(seeds) < 2**31
