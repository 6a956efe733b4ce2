"""What a run will be shown: looked at before anything is learned from it."""

from pathlib import Path

import numpy as np
from PIL import Image

from choreo.config import OnlineConfig
from choreo.envs.make import make
from choreo.envs.rendering.look import look
from choreo.envs.spaces import EnvSpec
from choreo.errors import EnvironmentMismatch
from choreo.record import RunFolder
from choreo.record.files import writing

FIRST_FRAME = "first_frame.png"
LEAST_SIDE = 256  # pixels; smaller pictures are enlarged so that a person can see them [ours]


def first_look(config: OnlineConfig, spec: EnvSpec, run: RunFolder) -> None:
    """Test the images of a run's environment and leave the first ones in `first_frame.png`.

    Does nothing for a run without images, or one that was looked at before. Raises
    `EnvironmentMismatch` for images that are black, constant, frozen or upside down.
    """
    path = run.path / FIRST_FRAME
    if not spec.images or path.exists():
        return
    environment = make(config.env, **config.env_options)
    try:
        found = look(environment)
    finally:
        environment.close()
    kept = path.with_stem("rejected_frame") if found.problems else path
    with writing(kept):
        save_side_by_side(list(found.images.values()), kept)
    if found.problems:
        raise EnvironmentMismatch(f"{' '.join(found.problems)} What was seen is in {kept}.")


def save_side_by_side(images: list[np.ndarray], path: Path) -> None:
    """Write pictures uint8 (H, W, 3) as one PNG, enlarged where they are small."""
    height = max(len(image) for image in images)
    level = [np.pad(image, ((0, height - len(image)), (0, 0), (0, 0))) for image in images]
    sheet = Image.fromarray(np.concatenate(level, axis=1))
    times = -(-LEAST_SIDE // sheet.height)
    enlarged = sheet.resize((sheet.width * times, sheet.height * times), Image.Resampling.NEAREST)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        enlarged.save(temporary, "PNG")
        temporary.replace(path)  # a picture that is there has been looked at
    finally:
        temporary.unlink(missing_ok=True)
