"""The one rule by which nested spaces become flat keys."""

import numpy as np
import pytest
from gymnasium import spaces

from choreo.envs.flatten import flat_key, leaves

BOX = spaces.Box(-1, 1, (3,), np.float64)
GREY = spaces.Box(0, 255, (64, 64), np.uint8)

# space, then key -> shape of what an agent sees
SEEN = {
    "box": (BOX, {"observation": (3,)}),
    "scalar": (spaces.Box(-1, 1, (), np.float32), {"observation": (1,)}),
    "matrix": (spaces.Box(-1, 1, (2, 5), np.float32), {"observation": (10,)}),
    "rank 4": (spaces.Box(-1, 1, (2, 1, 2, 2), np.float32), {"observation": (8,)}),
    "image": (spaces.Box(0, 255, (32, 32, 3), np.uint8), {"observation": (32, 32, 3)}),
    "grey": (GREY, {"observation": (64, 64, 1)}),
    "bytes": (spaces.Box(0, 255, (4, 4), np.uint8), {"observation": (16,)}),
    "discrete": (spaces.Discrete(5, start=-2), {"observation": (5,)}),
    "multi": (spaces.MultiDiscrete(np.array([[2, 3], [4, 1]])), {"observation": (10,)}),
    "binary": (spaces.MultiBinary((2, 3)), {"observation": (6,)}),
    "nested": (
        spaces.Dict(goal=spaces.Dict({"top.left": BOX}), pair=spaces.Tuple((BOX, GREY))),
        {"goal/top_left": (3,), "pair/0": (3,), "pair/1": (64, 64, 1)},
    ),
    "slash": (spaces.Dict({"robot0/eef": BOX}), {"robot0/eef": (3,)}),
    "reserved": (spaces.Dict(action=BOX, reward=BOX), {"observation_action": (3,),
                                                       "observation_reward": (3,)}),
    "nameless": (spaces.Dict({"": BOX}), {"observation": (3,)}),
}  # fmt: skip


@pytest.mark.parametrize("name", SEEN)
def test_a_space_becomes_these_keys(name: str) -> None:
    space, wanted = SEEN[name]
    found, refused = leaves(space)
    assert not refused and {key: leaf.shape for key, leaf in found.items()} == wanted
    space.seed(0)
    for leaf in found.values():
        one = leaf.convert(leaf.pick(space.sample()))
        assert one.shape == leaf.shape and one.dtype == ("uint8" if leaf.is_image else "float32")
        many = leaf.convert(np.stack([leaf.pick(space.sample()) for _ in range(4)]))
        assert many.shape == (4, *leaf.shape)


def test_choices_are_one_hot() -> None:
    leaf = leaves(spaces.Discrete(3, start=1))[0]["observation"]
    assert leaf.convert([1, 3, 2]).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    pair = leaves(spaces.MultiDiscrete([2, 3]))[0]["observation"]
    assert pair.convert([1, 0]).tolist() == [0, 1, 1, 0, 0]
    with pytest.raises(ValueError, match="the choice 4 is not in"):
        leaf.convert(4)


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (spaces.Text(5), "holds text"),
        (spaces.Sequence(BOX), "is a Sequence, which has no fixed size"),
        (spaces.Discrete(10**9), "counts to 1000000000; 4096 are the most"),
        (spaces.Box(0, 1, (64, 64, 3), np.float32), "is an image of shape"),
        (spaces.Box(0, 255, (2, 32, 32, 3), np.uint8), "not a stack"),
        (spaces.Box(0, 1, (0,), np.float32), "holds no number"),
    ],
)
def test_what_cannot_be_seen_says_why(space: spaces.Space, reason: str) -> None:
    found, refused = leaves(spaces.Dict(odd=space, good=BOX))
    assert list(found) == ["good"] and reason in refused["odd"]


def test_two_entries_of_one_key_are_refused() -> None:
    found, refused = leaves(spaces.Dict({"a": spaces.Dict(b=BOX), "a/b": BOX}))
    assert not found and "two entries" in refused["a/b"]
    assert flat_key(("a", 0, "b.c")) == "a/0/b_c"
