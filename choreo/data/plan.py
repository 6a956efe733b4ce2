"""What an import is to do, decided before the first episode is read."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from choreo.data.bounds import CARD_SAYS, Bounds, unit_bounds
from choreo.data.episode import Layout, Reading
from choreo.data.files import BadFile, plain_file
from choreo.data.formats.detect import open_source
from choreo.data.formats.source import Source
from choreo.data.reading import parse_map
from choreo.data.spec_file import DeclaredSpec, read_spec
from choreo.envs.spaces import IMAGE_SIZES, ArraySpec, EnvSpec, Obs
from choreo.errors import UsageError


@dataclass(frozen=True)
class ImportOptions:
    """How recorded data become a set in this project's form."""

    keys: tuple[str, ...] | None = None
    """Observations to take; None takes every vector and image."""
    keep: tuple[str, ...] = ()
    """Further arrays to store, such as physics; agents do not see them."""
    image_size: int | None = None
    """Height and width that images are resized to (32, 64 or 128 pixels)."""
    skip_bad: bool = False
    """Go on after an episode that cannot be used, and count it."""
    spec: Path | None = None
    """JSON file with what is known of the environment: observations, action_low, action_high,
    action_repeat, cameras; None takes it from the data."""
    action_repeat: int | None = None
    """Frames per recorded step, where the data do not tell it."""
    map: tuple[str, ...] = ()
    """Arrays of other names, as NAME=NAME: action=actions takes the files' "actions" as action."""
    clip: bool = False
    """Cut actions beyond declared bounds off, as environments do, instead of refusing them."""
    rescale: bool = False
    """Make all actions smaller until the largest fits declared bounds, by dimension and about the
    middle of the bounds."""


LATER = ("map", "clip", "rescale")  # options that cards of earlier versions have not


@dataclass(frozen=True)
class Plan:
    """A source, and what was declared of it."""

    source: Source
    declared: DeclaredSpec
    options: ImportOptions
    bounds: Bounds | None
    """Declared bounds of the environment's actions; None where they follow from the data."""
    action_repeat: int | None
    """Declared frames per step; None where each episode may tell."""

    @property
    def recorded(self) -> Bounds | None:
        """Declared bounds of the actions as they stand in the files."""
        if self.options.rescale:
            return None
        return as_recorded(self.source, self.bounds)

    def request(self) -> dict[str, Any]:
        """What decides the result, as JSON: a second import must agree to go on with a first."""
        options = {k: v for k, v in asdict(self.options).items() if k not in ("skip_bad", "spec")}
        for name in LATER:
            if options[name] == getattr(ImportOptions(), name):
                del options[name]
        return {
            "source": str(self.source.path.resolve()),
            "source_format": self.source.format,
            "files_sha256": self.source.files_sha256(),
            "sampled_sha256": sampled_sha256(self.source.files(), self.source.path),
            **{name: list(v) if isinstance(v, tuple) else v for name, v in options.items()},
            "declared": {
                name: list(v) if isinstance(v, tuple) else v
                for name, v in asdict(self.declared).items()
            },
        }

    def check_layout(self, layout: Layout, observations: tuple[str, ...]) -> None:
        """Raises UsageError where agents cannot take the observations, or others were declared."""
        for name in observations:
            shape, dtype = layout[name]
            square = len(shape) == 3 and shape[1] == shape[2]
            if dtype == "uint8" and not (square and shape[1] in IMAGE_SIZES):
                raise UsageError(
                    f"The images '{name}' of {self.source.path} are {shape[1]} x {shape[2]} pixels;"
                    f" agents take {', '.join(map(str, IMAGE_SIZES))}. Resize them with"
                    " `choreo data import SRC DST --image-size 64`, or leave them out with --keys"
                    f"{''.join(f' {other}' for other in observations if other != name)}."
                )
        wanted = self.declared.layout()
        found = {name: layout[name] for name in observations}
        if wanted and wanted != found:
            raise UsageError(
                f"{self.options.spec} declares the observations {wanted}; {self.source.path} has "
                f"{found}. Correct the one or give the other."
            )

    def env_spec(
        self,
        name: str,
        layout: Layout,
        observations: tuple[str, ...],
        bounds: Bounds,
        repeat: int | None,
        longest: int,
    ) -> EnvSpec:
        """The spec of a set of these episodes, from what was declared and what was found."""
        known = self.source.spec()
        arrays = {key: ArraySpec(*layout[key]) for key in observations}
        seconds = self.declared.step_seconds or self.source.step_seconds()
        cameras = self.declared.cameras or (known.cameras if known else ())
        return EnvSpec(
            id=f"data:{name}",
            observations=arrays,
            action_size=len(bounds.low),
            action_low=bounds.low,
            action_high=bounds.high,
            action_repeat=repeat or 1,
            episode_steps=self.declared.episode_steps or longest,
            coordinates=(),
            step_seconds=seconds,
            obs=_kind_of(arrays),
            cameras=cameras,
            image_size=next((a.shape[-1] for a in arrays.values() if a.is_image), 64),
        )


SAMPLED_FILES, SAMPLED_BYTES = 32, 2**16  # of a set that may have terabytes [ours]
PLACES = ("source", "sampled_sha256")
"""Entries of a request that tell data which have been moved from others."""


def same_request(found: Any, wanted: dict[str, Any]) -> bool:
    """Whether two requests are for the same result: the same data, wherever they lie by now."""
    if not isinstance(found, dict):
        return False
    wanted = json.loads(json.dumps(wanted))
    rest = [{k: v for k, v in one.items() if k not in PLACES} for one in (found, wanted)]
    return rest[0] == rest[1] and any(found.get(name) == wanted[name] for name in PLACES)


def sampled_sha256(files: list[Path], root: Path) -> str:
    """A hash over the beginning and the end of some files, spread over all."""
    digest = hashlib.sha256()
    for path in files[:: max(1, len(files) // SAMPLED_FILES)]:
        try:
            plain_file(path, root)
        except BadFile:
            continue  # its reader will name it
        with suppress(OSError), path.open("rb") as file:  # reading it says what is wrong with it
            digest.update(file.read(SAMPLED_BYTES))
            file.seek(max(0, path.stat().st_size - SAMPLED_BYTES))
            digest.update(file.read(SAMPLED_BYTES))
    return digest.hexdigest()


def make_plan(path: Path, options: ImportOptions) -> Plan:
    """Open the source and decide what is known beforehand.

    Raises:
        UsageError: there is no source, or what was declared contradicts it.
    """
    if options.image_size is not None and options.image_size not in IMAGE_SIZES:
        raise UsageError(
            f"--image-size is {options.image_size}; agents take {', '.join(map(str, IMAGE_SIZES))}."
        )
    declared = DeclaredSpec() if options.spec is None else read_spec(options.spec)
    keys = options.keys or tuple(declared.observations or ()) or None
    named = parse_map(options.map)
    source = open_source(path, Reading(keys, options.keep, options.image_size, named))
    bounds = _bounds(source, declared, options)
    if options.clip and options.rescale:
        raise UsageError("--clip and --rescale contradict each other. Leave one of them out.")
    if bounds is None and (options.clip or options.rescale):
        raise UsageError(
            f"--{'clip' if options.clip else 'rescale'} needs bounds, and {path} declares none. "
            "Tell those of the environment with --spec (action_low, action_high)."
        )
    return Plan(source, declared, options, bounds, _repeat(source, declared, options))


def declared_bounds(source: Source) -> Bounds | None:
    """The bounds that a source declares of the actions as they stand in its files."""
    own = source.bounds()
    return as_recorded(source, None if own is None else Bounds(*own, origin=f"{source.path}"))


def as_recorded(source: Source, bounds: Bounds | None) -> Bounds | None:
    """The environment's bounds, or [-1, 1] where the files hold scaled actions."""
    if bounds is None or not source.scaled:
        return bounds
    return unit_bounds(len(bounds.low), CARD_SAYS)


def _bounds(source: Source, declared: DeclaredSpec, options: ImportOptions) -> Bounds | None:
    """The declared bounds: those of the spec file before those of the data's own files."""
    own = source.bounds()
    if declared.action_low is None or declared.action_high is None:
        return None if own is None else Bounds(*own, origin=f"{source.path}")
    told = Bounds(declared.action_low, declared.action_high, str(options.spec))
    if source.scaled and own != (told.low, told.high):
        raise UsageError(
            f"{options.spec} declares actions from {told.low} to {told.high}; {source.path} has "
            f"actions scaled to [-1, 1] and tells that they were {own}. Leave the bounds out."
        )
    return told


def _repeat(source: Source, declared: DeclaredSpec, options: ImportOptions) -> int | None:
    """The declared action repeat, all that tell one agreeing."""
    told = {
        "--action-repeat": options.action_repeat,
        str(options.spec): declared.action_repeat,
        str(source.path): source.action_repeat(),
    }
    known = {origin: repeat for origin, repeat in told.items() if repeat is not None}
    if len(set(known.values())) > 1:
        listed = ", ".join(f"{origin} says {repeat}" for origin, repeat in known.items())
        raise UsageError(f"The action repeat is told twice: {listed}. Leave the wrong one out.")
    return next(iter(known.values()), None)


def _kind_of(arrays: dict[str, ArraySpec]) -> Obs:
    images = sum(array.is_image for array in arrays.values())
    if images == 0:
        return "states"
    return "pixels" if images == len(arrays) else "both"
