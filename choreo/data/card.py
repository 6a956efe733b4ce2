"""The data card: `card.json` in a folder of data says what the data are."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from choreo.envs.spaces import EnvSpec
from choreo.errors import UsageError
from choreo.record.machine import versions_of
from choreo.replay.segments import sync, writing
from choreo.schema import Listed, Maybe, Named, Whole, problem, read_json

FORMAT = 1
CARD = "card.json"
EPISODES, IMPORTED = "episodes", "imported"
FORM = {"kind": Maybe(str), "spec": dict}
BOUNDS = {"format": Whole(), "start": Listed(Whole()), "stop": Listed(Whole())}
IMPORTED_FORM = {**FORM, "replay": BOUNDS, "files": Named(str), "sha256": str, "request": dict}
PACKAGES = ("choreo", "numpy", "h5py", "pyarrow", "minari", "av")


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write `card.json` whole or not at all; `card` has at least `kind` and `spec`.

    `kind` is "episodes" for files of episodes, "imported" for a set in this project's own form;
    `spec` is that of the environment (`EnvSpec.to_json`), with its own action bounds, while the
    actions beside the card are scaled to [-1, 1].

    Raises:
        StorageError: the disk is full.
    """
    write_json(Path(folder) / CARD, {"format": FORMAT, **card})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all, safe from a power cut."""
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)


def is_begun(folder: Path) -> bool:
    """Whether a folder holds more than what a process leaves that was killed at its first file."""
    return Path(folder).is_dir() and any(
        not (path.name.startswith(".") and path.name.endswith(".json.tmp"))
        for path in Path(folder).iterdir()
    )


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card of a folder, None where there is none.

    Raises:
        UsageError: it is damaged or of another format.
    """
    path = Path(folder) / CARD
    if not path.exists():
        return None
    try:
        card = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}). Copy it back, or make the data again."
        ) from error
    if not isinstance(card, dict) or card.get("format") != FORMAT or "spec" not in card:
        raise UsageError(
            f"{path} is not a data card of format {FORMAT}. Use the version of Choreo that wrote "
            "it, or remove the file to read the data without it."
        )
    wrong = problem(card, IMPORTED_FORM if card.get("kind") == IMPORTED else FORM)
    if wrong:
        raise UsageError(f"{path} is not a data card: {wrong}. Copy it back, or make it again.")
    return card


def folder_spec(folder: Path) -> EnvSpec | None:
    """The environment that the card of a folder tells of."""
    card = read_card(folder)
    return None if card is None else card_spec(card, folder)


def card_spec(card: Mapping[str, Any], folder: Path) -> EnvSpec:
    """The environment that a card tells of.

    Raises:
        UsageError: parts of it are missing or of another kind.
    """
    try:
        return EnvSpec.from_json(card["spec"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{Path(folder) / CARD} has a spec that cannot be read ({error!r}). Copy it back, or "
            "make the data again."
        ) from error


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that reading depends on."""
    return {"python": platform.python_version()} | versions_of(PACKAGES)
