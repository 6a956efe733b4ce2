"""Choreo learns skills without rewards in a world model and adapts them to tasks."""

from pathlib import Path
from typing import TYPE_CHECKING

from choreo import errors

if TYPE_CHECKING:
    from choreo.agent import Agent

__version__ = "0.1.0"
__all__ = ["__version__", "errors", "load"]


def load(path: str | Path) -> "Agent":
    """Load the agent, without optimisers, of a run, checkpoint or pack; see `choreo.agent.load`.

    Torch is imported on the first call and not with the package, so that `import choreo` is quick.
    """
    from choreo.agent import load as load_agent

    return load_agent(path)
