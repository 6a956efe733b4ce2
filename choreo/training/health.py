"""Watches the figures of a run while it trains, and says what they warn of."""

import logging
from collections.abc import Mapping
from typing import Any

from choreo.record import health

log = logging.getLogger(__name__)

Warnings = dict[str, str]
"""Sentences by name."""


class HealthWatch:
    """Warnings about the lines of training metrics.

    Args:
        codes: number of skills.
        adapts_after: frames after which fine-tuning adapts at the earliest; None where nothing is
            fine-tuned.
        counted: what the run counts, as a word.
    """

    def __init__(
        self, codes: int, adapts_after: int | None = None, counted: str = "frames"
    ) -> None:
        self.codes, self.adapts_after, self.counted = codes, adapts_after, counted
        self.returns: list[float] = []  # of evaluations, in order of time
        self.critic: list[float] = []  # what it expected in the last one, and what followed
        self.note = ""
        """What holds now, for people."""
        self._told: set[str] = set()

    def look(self, values: Mapping[str, float], count: int) -> dict[str, float]:
        """Entries of the same line, `warning/NAME` with 1 for what holds; new ones are logged."""
        found = self.warnings(values, count)
        self.note = "; ".join(found.values())
        for name in sorted(found.keys() - self._told):
            log.warning("at %d %s: %s", count, self.counted, found[name])
        self._told |= found.keys()
        return {f"warning/{name}": 1.0 for name in found}

    def evaluated(self, values: Mapping[str, float]) -> None:
        """Be told of an evaluation of what is fine-tuned."""
        self.returns.append(values["return"])
        names = ("critic/expected", "critic/found")
        self.critic = [values[name] for name in names if name in values]

    def wait(self, frames: int, random_frames: int) -> None:
        """Be told that there is nothing to learn from yet."""
        sentence = health.no_sequence(frames, random_frames)
        if sentence is not None:
            self.note = sentence
            if "no_sequence" not in self._told:
                log.warning("%s", sentence)
            self._told.add("no_sequence")

    def warnings(self, values: Mapping[str, float], frames: int) -> Warnings:
        """What a line of metrics and the evaluations before it warn of."""
        found: dict[str, str | None] = {"falling_return": health.falling_return(self.returns)}
        if len(self.critic) == 2:
            found["hopeful_critic"] = health.hopeful_critic(*self.critic)
        if "codebook/perplexity" in values:
            found["few_codes"] = health.few_codes(values["codebook/perplexity"], self.codes)
        if "adaptation/entropy" in values:
            entropy = values["adaptation/entropy"]
            found["certain_selector"] = health.certain_selector(entropy, self.codes)
        if self.adapts_after is not None:
            adapts = any(name.startswith("adaptation/") for name in values)
            found["missing_reward"] = health.missing_reward(adapts, frames, self.adapts_after)
        return {name: sentence for name, sentence in found.items() if sentence is not None}

    def state(self) -> dict[str, Any]:
        """What a checkpoint records."""
        return {"returns": self.returns, "critic": self.critic}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a recorded state; runs of older versions have none."""
        self.returns = list(state.get("returns") or [])
        self.critic = list(state.get("critic") or [])
