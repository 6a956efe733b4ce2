"""Simulators that hang or die in a step, named `toy_hanging:NAME`; but not in every process.

The file that `TOY_TROUBLE` names says when: while it is there, they do.
"""

import os
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from toy_envs import Point


class Troubled(Point):
    steps_per_episode = 10**9

    def __init__(self, dies: bool) -> None:
        super().__init__()
        self.dies = dies

    def step(self, action: np.ndarray) -> Any:
        if self.steps >= 5 and Path(os.environ.get("TOY_TROUBLE", "none")).exists():
            if self.dies:
                os.kill(os.getpid(), 9)
            time.sleep(3600)
        return super().step(action)


def hangs() -> gymnasium.Env:
    return Troubled(dies=False)


def dies() -> gymnasium.Env:
    return Troubled(dies=True)
