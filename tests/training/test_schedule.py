from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from choreo.training.schedule import Every, Minutes, Ratio

counts = st.lists(st.integers(0, 50), max_size=30).map(lambda steps: list(accumulate(steps)))


def accumulate(steps: list[int]) -> Iterator[int]:
    total = 0
    for step in steps:
        total += step
        yield total


def test_every_fires_when_a_multiple_is_passed() -> None:
    every = Every(10)
    assert [every(n) for n in (0, 4, 8, 12, 16, 20, 20, 55, 59, 60)] == [
        False, False, False, True, False, True, False, True, False, True,
    ]  # fmt: skip


def test_every_zero_never_fires() -> None:
    assert not any(Every(0)(n) for n in range(100))


def test_minutes_count_from_the_last_restart() -> None:
    now = [0.0]
    minutes, never = (Minutes(length, clock=lambda: now[0]) for length in (5, 0))

    def at(seconds: float) -> bool:
        now[0] = seconds
        return minutes()

    assert [at(299), at(300), at(301)] == [False, True, True]
    minutes.restart()
    assert [at(600), at(601)] == [False, True] and not never()


def test_ratio_by_hand() -> None:
    ratio = Ratio(10, start=100)
    given = [ratio(n) for n in (0, 99, 100, 109, 110, 115, 150, 150)]
    assert given == [0, 0, 0, 0, 1, 0, 4, 0]
    assert Ratio(0)(1000) == 0


@given(counts, st.integers(1, 20), st.integers(0, 200))
def test_the_number_of_updates_depends_on_the_count_only(
    counts: list[int], every: int, start: int
) -> None:
    ratio = Ratio(every, start)
    total = sum(ratio(count) for count in counts)
    last = counts[-1] if counts else 0
    assert total == max(0, last - start) // every


@pytest.mark.parametrize("make", [lambda: Every(7), lambda: Ratio(7, 20)])
@given(counts, st.integers(0, 30))
def test_a_restored_clock_goes_on_as_if_nothing_had_happened(
    make: Callable[[], Any], counts: list[int], cut: int
) -> None:
    whole = make()
    expected = [whole(count) for count in counts]
    first, second = make(), make()
    found = [first(count) for count in counts[:cut]]
    second.restore(first.state())
    assert found + [second(count) for count in counts[cut:]] == expected
