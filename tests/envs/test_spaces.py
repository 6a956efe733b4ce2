import json
from dataclasses import replace

import pytest

from choreo.envs.spaces import ArraySpec, EnvSpec, check_image_size
from choreo.errors import UsageError

SPEC = EnvSpec(
    id="here",
    observations={"a": ArraySpec((3,), "float32")},
    action_size=2,
    action_low=(-1.0, -0.5),
    action_high=(1.0, 0.5),
    action_repeat=2,
    episode_steps=10,
    coordinates=("x",),
    step_seconds=0.5,
)


def test_json_text_gives_back_an_equal_spec() -> None:
    assert EnvSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


def test_a_spec_is_compatible_with_another_task_of_the_same_shape() -> None:
    assert SPEC.compatible_with(replace(SPEC, id="there", episode_steps=7)) == []


def test_each_difference_is_a_sentence_that_names_it() -> None:
    other = replace(
        SPEC,
        observations={"a": ArraySpec((4,), "float32"), "b": ArraySpec((1,), "float32")},
        action_size=3,
        action_low=(0.0, 0.0, 0.0),
    )
    sentences = SPEC.compatible_with(other)
    assert len(sentences) == 3
    assert "'a'" in sentences[0] and "float32[3]" in sentences[0] and "float32[4]" in sentences[0]
    assert "'b'" in sentences[1]
    assert "2 action values" in sentences[2] and "3" in sentences[2]


@pytest.mark.parametrize(
    ("size", "nearest"), [(1, 32), (48, 32), (63, 64), (84, 64), (100, 128), (480, 128)]
)
def test_the_nearest_image_size_is_named(size: int, nearest: int) -> None:
    with pytest.raises(UsageError, match=f"{size} x {size}.*nearest is {nearest}"):
        check_image_size(size)
    check_image_size(nearest)


def test_other_bounds_and_another_repeat_are_differences() -> None:
    other = replace(SPEC, action_high=(2.0, 0.5), action_repeat=1)
    assert len(SPEC.compatible_with(other)) == 2


def test_bounds_in_single_precision_agree_with_those_that_were_typed() -> None:
    told = replace(SPEC, action_low=(-0.4, -0.4), action_high=(0.4, 0.4))
    own = replace(
        SPEC, action_low=(-0.4000000059604645,) * 2, action_high=(0.4000000059604645,) * 2
    )
    assert told.compatible_with(own) == []
    (sentence,) = told.compatible_with(replace(own, action_high=(0.4, 0.5)))
    assert "[-0.4, 0.4] and [-0.4, 0.4] x [-0.4, 0.5]" in sentence
