import numpy as np
import pytest

from choreo.envs.rendering.view import View
from choreo.envs.simulated import SimulatedEnvironment
from choreo.envs.simulators.base import Frame, Simulator
from choreo.envs.spaces import ArraySpec
from choreo.errors import EnvironmentMismatch, UsageError


class Scene(Simulator):
    """Two cameras; the channels of a picture are its row, the camera and the frame."""

    def __init__(self, **own: ArraySpec) -> None:
        self.observations = own or {"observation": ArraySpec((1,), "float32")}
        self.action_low, self.action_high = np.array([-1.0]), np.array([1.0])
        self.frame_limit = self.frame_seconds = None
        self.coordinate_names = ()
        self.cameras: tuple[str, ...] = ("front", "back")
        self.default_camera: str | None = "back"
        self.frame = 0
        self.drawn: list[str | None] = []

    def reset(self, seed: int) -> None:
        self.frame = 0

    def step(self, action: np.ndarray) -> Frame:
        self.frame += 1
        return Frame(0.0, False, False)

    def observe(self) -> dict[str, np.ndarray]:
        return {key: np.full(a.shape, self.frame, a.dtype) for key, a in self.observations.items()}

    def coordinates(self) -> np.ndarray:
        return np.zeros(0)

    def render(self, height: int, width: int, camera: str | None = None) -> np.ndarray:
        self.drawn.append(camera)
        picture = np.zeros((height, width, 3), np.uint8)
        picture[..., 0] = np.arange(height)[::-1, None]
        picture[..., 1] = 9 if camera is None else self.cameras.index(camera)
        picture[..., 2] = self.frame
        return picture[::-1]

    def close(self) -> None:
        pass


def test_a_picture_is_channel_first_contiguous_and_upright() -> None:
    image = View("here", Scene(), "pixels", 32).observe()["image"]
    assert image.shape == (3, 32, 32) and image.dtype == np.uint8 and image.flags.c_contiguous
    assert image[0, :, 5].tolist() == list(range(32))
    assert (image[1] == 1).all()


@pytest.mark.parametrize(
    ("obs", "keys"),
    [("states", ["observation"]), ("pixels", ["image"]), ("both", ["observation", "image"])],
)
def test_obs_says_what_is_shown(obs: str, keys: list[str]) -> None:
    view = View("here", Scene(), obs)  # type: ignore[arg-type]
    assert list(view.observations) == list(view.observe()) == keys
    assert view.cameras == (() if obs == "states" else ("back",))


def test_several_cameras_have_a_key_each_in_the_order_given() -> None:
    view = View("here", Scene(), "pixels", 32, ("back", "front"))
    shown = view.observe()
    assert list(shown) == ["image_back", "image_front"] == list(view.observations)
    assert shown["image_back"][1, 0, 0] == 1 and shown["image_front"][1, 0, 0] == 0


def test_only_the_keys_named_are_shown_and_drawn() -> None:
    scene = Scene()
    view = View("here", scene, "both", 32, ("back", "front"), ("image_front", "observation"))
    assert list(view.observe()) == ["observation", "image_front"] == list(view.observations)
    assert scene.drawn == ["front"] and view.cameras == ("back", "front")


def test_an_agent_step_draws_once_whatever_the_action_repeat() -> None:
    scene = Scene()
    env = SimulatedEnvironment("here", scene, 4, view=View("here", scene, "pixels", 32))
    env.reset(0)
    image = env.step(np.zeros(1, np.float32)).observation["image"]
    assert len(scene.drawn) == 2 and image[2, 0, 0] == 4
    assert (env.spec.obs, env.spec.cameras, env.spec.image_size) == ("pixels", ("back",), 32)


def test_a_simulator_with_one_view_takes_no_cameras() -> None:
    scene = Scene()
    scene.cameras, scene.default_camera = (), None
    view = View("here", scene, "pixels")
    assert view.cameras == () and view.observe()["image"][1, 0, 0] == 9
    with pytest.raises(UsageError, match="one view only"):
        View("here", scene, "pixels", cameras=("front",))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"obs": "pixels", "cameras": ("left",)}, "no camera 'left'; it has front, back .*0 to 1"),
        ({"obs": "pixels", "cameras": ("2",)}, "no camera '2'"),
        ({"obs": "pixels", "cameras": ("back", "back")}, "twice"),
        ({"obs": "states", "cameras": ("back",)}, "obs='pixels' or obs='both'"),
        ({"obs": "pixels", "keys": ("observation",)}, "no observation 'observation'.*image"),
        ({"obs": "states", "keys": ("image",)}, "no observation 'image'; it shows observation"),
        ({"obs": "pixels", "image_size": 84}, "84 x 84.*nearest is 64"),
        ({"obs": "both", "image_size": 100}, "nearest is 128"),
        ({"obs": "pixels", "image_size": 0}, "nearest is 32"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        View("here", Scene(), **options)


def test_own_images_of_another_size_are_refused_unless_left_out() -> None:
    sizes = {"eye": ArraySpec((3, 84, 84), "uint8"), "touch": ArraySpec((2,), "float32")}
    with pytest.raises(EnvironmentMismatch, match=r"'eye' is 84 x 84.*give 64 x 64"):
        View("here", Scene(**sizes))
    with pytest.raises(EnvironmentMismatch, match="64 x 32"):
        View("here", Scene(eye=ArraySpec((3, 64, 32), "uint8")))
    assert list(View("here", Scene(**sizes), keys=("touch",)).observations) == ["touch"]


def test_a_picture_does_not_hide_an_image_of_the_same_name() -> None:
    own = ArraySpec((3, 64, 64), "uint8")
    assert View("here", Scene(image=own)).observe()["image"].shape == (3, 64, 64)
    with pytest.raises(EnvironmentMismatch, match="'image' of its own"):
        View("here", Scene(image=own), "both")
