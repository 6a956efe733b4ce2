"""What an agent sees of a simulator: its own observations, pictures of it, or both."""

import numpy as np

from choreo.envs.simulators.base import Simulator
from choreo.envs.spaces import ArraySpec, Obs, check_image_size, name_nearest_size
from choreo.errors import EnvironmentMismatch, UsageError


class View:
    """The arrays an agent is shown after every step; a picture is drawn once per step.

    Pictures are uint8 (3, S, S). One camera gives the key "image", several give "image_<camera>"
    each, in the order given; none given is the simulator's default. `keys` are those to show, all
    when empty.

    Raises `UsageError` for an unknown camera, key or image size and `EnvironmentMismatch` for
    images of the simulator's own that no agent can take.
    """

    def __init__(
        self,
        id: str,
        simulator: Simulator,
        obs: Obs = "states",
        image_size: int = 64,
        cameras: tuple[str, ...] = (),
        keys: tuple[str, ...] = (),
    ) -> None:
        self._simulator = simulator
        self.size = image_size
        self.obs: Obs = obs
        self.keys = keys
        self.cameras = _resolve_cameras(id, simulator, obs, tuple(cameras))
        pictures = {} if obs == "states" else _name_pictures(self.cameras)
        own = {} if obs == "pixels" else simulator.observations
        if pictures:
            check_image_size(image_size)
        _check_no_clash(id, own, pictures)
        shown = own | dict.fromkeys(pictures, ArraySpec((3, image_size, image_size), "uint8"))
        self.observations = _select(id, shown, keys)
        _check_own_images(id, self.observations)
        self._own = tuple(key for key in own if key in self.observations)
        self._pictures = {key: pictures[key] for key in pictures if key in self.observations}

    @property
    def drawn(self) -> list[str | None]:
        """The cameras whose pictures are shown; None is the simulator's default."""
        return list(self._pictures.values())

    def observe(self) -> dict[str, np.ndarray]:
        """Return freshly allocated arrays as `observations` describes them."""
        own = self._simulator.observe() if self._own else {}
        shown = {key: own[key] for key in self._own}
        for key, camera in self._pictures.items():
            picture = self._simulator.render(self.size, self.size, camera)
            shown[key] = np.ascontiguousarray(picture.transpose(2, 0, 1))
        return shown


def _resolve_cameras(
    id: str, simulator: Simulator, obs: Obs, cameras: tuple[str, ...]
) -> tuple[str, ...]:
    if obs == "states":
        if cameras:
            raise UsageError(
                f"obs='states' shows no picture, so it takes no cameras ({', '.join(cameras)});"
                " use obs='pixels' or obs='both'"
            )
        return ()
    for name in cameras:
        _check_camera(id, simulator, name)
    if len({simulator.camera_number(name) for name in cameras}) < len(cameras):
        raise UsageError(f"a camera is named twice in {', '.join(cameras)}; name each once")
    default = simulator.default_camera
    return cameras or (() if default is None else (default,))


def _check_camera(id: str, simulator: Simulator, name: str) -> None:
    known = simulator.cameras
    if name in known or (name.isdecimal() and int(name) < len(known)):
        return
    if not known:
        raise UsageError(f"{id} has one view only, so no camera can be chosen; leave '{name}' out")
    raise UsageError(
        f"{id} has no camera '{name}'; it has {', '.join(known)}"
        + f" (or their indices, 0 to {len(known) - 1})" * (len(known) > 1)
    )


def _name_pictures(cameras: tuple[str, ...]) -> dict[str, str | None]:
    if len(cameras) > 1:
        return {f"image_{camera}": camera for camera in cameras}
    return {"image": cameras[0] if cameras else None}


def _check_no_clash(id: str, own: dict[str, ArraySpec], pictures: dict[str, str | None]) -> None:
    for key in own.keys() & pictures.keys():
        raise EnvironmentMismatch(
            f"{id} has an observation '{key}' of its own, which is also the name of the picture."
            " Use obs='states', which shows the environment's own images, or rename it."
        )


def _select(id: str, shown: dict[str, ArraySpec], keys: tuple[str, ...]) -> dict[str, ArraySpec]:
    for key in keys:
        if key not in shown:
            raise UsageError(f"{id} shows no observation '{key}'; it shows {', '.join(shown)}")
    return {key: array for key, array in shown.items() if not keys or key in keys}


def _check_own_images(id: str, shown: dict[str, ArraySpec]) -> None:
    for key, array in shown.items():
        if not array.is_image:
            continue
        _, height, width = array.shape
        nearest = name_nearest_size(max(height, width))
        if height != width or height != nearest:
            raise EnvironmentMismatch(
                f"{id}: the image '{key}' is {height} x {width}; the world model's convolutions"
                f" take squares of 32, 64 or 128. Let the environment give {nearest} x {nearest}"
                " (for Gymnasium: gymnasium.wrappers.TransformObservation with Image.resize of PIL"
                " and a Box of that size), or name the other observations with the option keys."
            )
