"""What a studio is opened on, and its bounds."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that the server needs to know; times in seconds."""

    place: Path
    host: str = "127.0.0.1"
    port: int = 0
    env: str | None = None
    trust: bool = False
    performers: int = 4
    """Simulators that play live at once."""
    cache_bytes: int = 2**30
    """Most bytes that the cache of a run keeps."""
    patience: float = 300.0
    """Longest silence of a worker while it computes, before it counts as hanging."""
    live_patience: float = 20.0
    """Longest step of a simulator that plays live."""
    idle: float = 90.0
    """A worker without work ends after so long."""
    send_patience: float = 20.0
    """A client that takes nothing for so long is let go."""
