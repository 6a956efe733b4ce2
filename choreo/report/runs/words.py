"""Numbers as people read them."""

from choreo.evaluation.runs import Run
from choreo.evaluation.scores import Interval
from choreo.schema import counted

NOTHING = "-"


def number(value: float | None) -> str:
    """A return: no more digits than tell something."""
    if value is None:
        return NOTHING
    size = abs(value)
    text = f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 1 else f"{value:.2f}"
    return "0.00" if text == "-0.00" else text


def share(value: float | None) -> str:
    """A normalised score or a probability."""
    return NOTHING if value is None else f"{value:.2f}"


def span(interval: Interval | None, form: str = "return") -> str:
    """Both ends of an interval."""
    if interval is None:
        return NOTHING
    show = number if form == "return" else share if form == "share" else percent
    return f"{show(interval[0])} to {show(interval[1])}"


def percent(value: float | None) -> str:
    """A share in percent."""
    if value is None:
        return NOTHING
    return f"{value:.0%}" if abs(value) >= 0.0995 or value == 0 else f"{value:.1%}"


def clock(seconds: float | None) -> str:
    """Seconds as hours and minutes."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def listed(names: list[str], most: int = 6) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def count(number: int, noun: str = "run") -> str:
    """A number with its noun."""
    return counted(number, noun)


def seeds(runs: list[Run]) -> str:
    """The score of every seed."""
    known = [(run.seed, run.final.value) for run in runs if run.final is not None]
    return " · ".join(number(value) for _, value in known) or NOTHING
