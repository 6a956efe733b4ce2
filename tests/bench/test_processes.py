"""Processes begin together, and what goes wrong in one is told."""

import pytest
import toy_processes

from choreo.bench.processes import together
from choreo.errors import ChoreoError, UsageError


def test_nobody_begins_before_all_are_ready_and_answers_come_in_order() -> None:
    found = together(toy_processes.moments, [(2,), (0,), (1,)])
    assert [number for number, _, _ in found] == [2, 0, 1]
    assert min(began for _, _, began in found) >= max(ready for _, ready, _ in found)


def test_an_error_comes_back_as_what_it_was() -> None:
    with pytest.raises(UsageError, match="not like this"):
        together(toy_processes.refuses, [(0,), (1,)])
    with pytest.raises(ChoreoError, match="ValueError: 2 is not 3"):
        together(toy_processes.breaks, [()])


def test_a_process_that_dies_does_not_keep_the_others_waiting() -> None:
    with pytest.raises(ChoreoError, match=r"one of 1 processes ended with exit code 7"):
        together(toy_processes.dies, [()])
