"""Names that do not exist, with the nearest one that does."""

from collections.abc import Iterable
from difflib import get_close_matches

from choreo.errors import UsageError


def check_name(kind: str, name: str, known: Iterable[str], where: str = "") -> None:
    """Raise a UsageError unless `name` is one of `known`; the error gives the nearest one."""
    known = list(known)
    if name in known:
        return
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(known) or 'none'}"
    raise UsageError(f"{where}{': ' if where else ''}unknown {kind} {name!r}; {hint}")
