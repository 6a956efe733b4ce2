"""What the page is told when something cannot be done: what happened, and what to do."""

from typing import Any

from choreo.errors import (
    ChoreoError,
    EnvironmentFailed,
    RendererUnavailable,
    StorageError,
    UsageError,
)

STATUS: tuple[tuple[type[ChoreoError], int], ...] = (
    (RendererUnavailable, 404),
    (EnvironmentFailed, 502),
    (UsageError, 400),
    (StorageError, 507),
    (ChoreoError, 500),
)
AGAIN = "Try again; if it stays, look at what the server wrote in its terminal."


class Refusal(ChoreoError):
    """An answer other than what was asked for, with its HTTP status."""

    def __init__(self, status: int, error: str, do: str = "", what: str = "") -> None:
        super().__init__(f"{error} {do}".strip())
        self.status, self.error, self.do, self.what = status, error, do, what or "refused"

    def to_json(self) -> dict[str, str]:
        """The body of the answer."""
        return {"error": self.error, "what": self.what, "do": self.do}


def refusal_of(error: BaseException) -> Refusal:
    """The answer for any error; one that nobody planned tells nothing of itself."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ChoreoError):
        return said(type(error).__name__, str(error), status_of(error))
    return Refusal(500, "Something went wrong in the studio.", AGAIN, "failed")


def status_of(error: ChoreoError) -> int:
    """The HTTP status that fits an error."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def said(kind: str, text: str, status: int) -> Refusal:
    """An error's text with its last sentence, which says what to do, apart."""
    for mark in (". ", "; "):
        head, found, tail = text.rpartition(mark)
        if found and len(tail) > len("Try again"):
            do = tail[0].upper() + tail[1:]
            return Refusal(status, f"{head.rstrip('.')}.", do, kind)
    return Refusal(status, text, "", kind)


def error_json(error: BaseException) -> dict[str, Any]:
    """What a job or a WebSocket tells of an error."""
    return refusal_of(error).to_json()
