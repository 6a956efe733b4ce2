import io
import re

import pytest
from rich.console import Console

from choreo.record import Progress, Stopwatch
from choreo.record.progress import Stages


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_stopwatch_splits_the_time() -> None:
    time = Time()
    stopwatch = Stopwatch(time)
    for part, seconds in (("environment", 2.0), ("updating", 5.0), ("environment", 1.0)):
        with stopwatch.watch(part):
            time.now += seconds
    time.now += 2.0
    assert stopwatch.seconds == {"environment": 3.0, "updating": 5.0}
    assert stopwatch.elapsed() == 10.0
    assert stopwatch.shares() == pytest.approx({"environment": 0.3, "updating": 0.5, "other": 0.2})


def test_time_counts_when_the_part_fails() -> None:
    time = Time()
    stopwatch = Stopwatch(time)
    with pytest.raises(ValueError, match="broken"), stopwatch.watch("updating"):
        time.now += 1.0
        raise ValueError("broken")
    assert stopwatch.seconds == {"updating": 1.0}


def test_of_nothing_there_is_no_line() -> None:
    out = io.StringIO()
    with Progress(0, console=Console(file=out, force_terminal=False)):
        pass
    assert out.getvalue() == ""


def test_without_a_terminal_there_is_a_line_now_and_then() -> None:
    time, out = Time(), io.StringIO()
    stopwatch = Stopwatch(time)
    console = Console(file=out, force_terminal=False, width=40)
    with Progress(
        10_000, 1000, stopwatch, "pretrain", every=10, console=console, clock=time
    ) as progress:
        for second in range(25):
            with stopwatch.watch("environment"):
                time.now += 1.0
            progress.update(1000 + 100 * (second + 1), second)
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0] == (
        "pretrain: 2,000/10,000 frames, 9 updates, 100.0 frames/s, 0:01:20 left, "
        "environment 100% other 0%"
    )
    assert lines[2].startswith("pretrain: 3,500/10,000 frames, 24 updates")


def test_the_rate_is_of_the_last_minute() -> None:
    time = Time()
    console = Console(file=io.StringIO(), force_terminal=False)
    progress = Progress(10_000, every=1, console=console, clock=time)
    assert progress.seconds_left() is None
    for second in range(1, 301):
        time.now += 1.0
        progress.update(second * 100 if second <= 100 else 10_000 + second, 0)
    assert progress.rate() == pytest.approx(1.0, rel=0.05)


def test_frames_before_the_first_update_tell_nothing_of_the_time_left() -> None:
    time = Time()
    console = Console(file=io.StringIO(), force_terminal=False)
    progress = Progress(10_000, console=console, clock=time)
    for done in range(1000, 5000, 1000):
        time.now += 1.0
        progress.update(done, 0)
    assert progress.seconds_left() is None and "? left" in progress.text()
    progress.update(4000, 1)
    for done in (4100, 4200):
        time.now += 1.0
        progress.update(done, done)
    assert progress.seconds_left() == pytest.approx(58)


def test_on_a_terminal_there_is_a_bar() -> None:
    time, out = Time(), io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with Progress(100, label="pretrain", console=console, clock=time) as progress:
        time.now += 1.0
        progress.update(50, 3)
    text = out.getvalue()
    assert "50/100 frames" in text
    assert "━" in text


def test_stages_follow_one_another() -> None:
    out = io.StringIO()
    with Stages(Console(file=out, width=200)) as tell:
        tell("playing", 5, 10)
        tell("playing", 10, 10)
        tell("filming", 1, 2)
    lines = out.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["playing", "filming"]
    assert "10/10 steps" in lines[0] and "1/2 steps" in lines[1]


@pytest.mark.parametrize("width", [20, 60, 80, 120])
def test_a_bar_fits_into_one_line_of_the_terminal(width: int) -> None:
    time, out = Time(), io.StringIO()
    console = Console(file=out, force_terminal=True, width=width)
    stopwatch = Stopwatch(time)
    label = "pretrain walker-seed-3"
    with Progress(2_000_000, 0, stopwatch, label, console=console, clock=time) as progress:
        progress.note = "few codes in use: 2.0 of 16"
        for second in range(3):
            with stopwatch.watch("environment"):
                time.now += 1.0
            progress.update(1_234_567 + second, 98_765)
    lines = re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()))
    assert max(map(len, lines)) <= width
    assert out.getvalue().count("\n") == 1, "nothing is wrapped"
    assert width < 60 or "1,234,569/2,000,000 frames" in lines[-2] + lines[-1]
