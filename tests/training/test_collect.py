"""Data sets of episodes: their layout, and that they are the same however they came to be."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_agents import toy_agent

from choreo.data.claim import claimed
from choreo.data.episode import Reading
from choreo.data.formats.exorl import list_episodes
from choreo.data.formats.npz import NpzSource, load
from choreo.errors import UsageError
from choreo.training.collect import Collected, collect
from choreo.training.players import Plan

LIMIT = (("time_limit", 20),)
ECHO = Plan("toy_envs:echo", LIMIT, seed=3)
MASS = Plan("point_mass", (("action_repeat", 2), ("time_limit", 6)), seed=3)


def files(folder: Path) -> dict[str, bytes]:
    """Content of all episodes of a folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.npz"))}


@pytest.fixture
def explorer(tmp_path: Path) -> Plan:
    """Three episodes at once of a toy agent that explores."""
    saved = toy_agent().save(tmp_path / "agent")
    return Plan("toy_envs:point", LIMIT, saved, seed=3, environments=3)


class Killed(Exception):
    """Stands for the end of the process."""


def killed_after(frames: int) -> Callable[[int], None]:
    def progress(done: int) -> None:
        if done >= frames:
            raise Killed

    return progress


def test_episodes_are_as_exorl_has_them(tmp_path: Path) -> None:
    found = collect(MASS, tmp_path, frames=30)
    assert found == Collected(episodes=3, steps=18, frames=36)
    assert list_episodes(tmp_path) == {0: 6, 1: 6, 2: 6}
    arrays = load(tmp_path / "episode_000002_6.npz")
    form = {name: (value.shape, str(value.dtype)) for name, value in arrays.items()}
    assert form == {
        "observation": ((7, 4), "float32"),
        "action": ((7, 2), "float32"),
        "reward": ((7, 1), "float32"),
        "discount": ((7, 1), "float32"),
        "physics": ((7, 4), "float64"),
    }
    assert not arrays["action"][0].any() and arrays["action"][1:].all()
    np.testing.assert_allclose(arrays["physics"], arrays["observation"], atol=1e-6)
    assert (arrays["discount"] == 1).all()


def test_the_action_of_a_row_led_to_its_observation_and_an_end_has_discount_0(
    tmp_path: Path,
) -> None:
    found = collect(ECHO, tmp_path, frames=40)
    lengths = list_episodes(tmp_path)
    assert 40 - max(lengths.values()) < found.steps - lengths[max(lengths)] < 40 <= found.steps
    assert len(set(lengths.values())) > 1
    for path, steps in zip(sorted(tmp_path.glob("*.npz")), lengths.values(), strict=True):
        arrays = load(path)
        np.testing.assert_array_equal(arrays["observation"][:, :2], arrays["action"])
        np.testing.assert_array_equal(arrays["observation"][:, 2], np.arange(steps + 1))
        assert arrays["discount"][:-1].all()
        assert arrays["discount"][-1] == (steps % 2 == 0)  # odd ones terminate
        assert "physics" not in arrays


def test_the_card_says_what_was_done_and_readers_understand_it(tmp_path: Path) -> None:
    collect(MASS, tmp_path, frames=30, command=("choreo", "data", "collect"))
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["collected"]["plan"]["seed"] == 3
    assert card["command"] == ["choreo", "data", "collect"]
    assert card["versions"]["mujoco"] == "3.3.0"
    source = NpzSource(tmp_path, Reading())
    assert source.action_repeat() == 2
    assert [len(episode) for episode in source.episodes()] == [6, 6, 6]


@pytest.mark.parametrize("frames", [1, 60, 110])
def test_a_killed_collection_goes_on_to_the_same_files(
    tmp_path: Path, explorer: Plan, frames: int
) -> None:
    for plan, name in ((ECHO, "chance"), (explorer, "agent")):
        whole, cut = tmp_path / name / "whole", tmp_path / name / "cut"
        collect(plan, whole, 110)
        with pytest.raises(Killed):
            collect(plan, cut, 110, progress=killed_after(frames))
        (cut / ".episode_000001_20.npz.77.tmp").write_bytes(b"half")
        told: list[int] = []
        collect(plan, cut, 110, progress=told.append)
        assert told[0] >= frames
        assert files(cut) == files(whole)
        assert not list(cut.glob(".*"))


def test_an_episode_lost_from_the_middle_of_a_round_comes_back_the_same(
    tmp_path: Path, explorer: Plan
) -> None:
    collect(explorer, tmp_path / "data", 110)
    before = files(tmp_path / "data")
    (tmp_path / "data" / "episode_000001_20.npz").unlink()
    collect(explorer, tmp_path / "data", 110)
    assert files(tmp_path / "data") == before


def test_more_frames_may_be_asked_for(tmp_path: Path, explorer: Plan) -> None:
    collect(explorer, tmp_path / "short", 70)
    short = files(tmp_path / "short")
    assert len(short) == 4  # of two rounds of three
    collect(explorer, tmp_path / "short", 110)
    collect(explorer, tmp_path / "long", 110)
    assert files(tmp_path / "short") == files(tmp_path / "long")
    assert short.items() < files(tmp_path / "long").items()


def test_processes_fill_a_folder_as_one_does(tmp_path: Path) -> None:
    one = collect(ECHO, tmp_path / "one", 60)
    two = collect(ECHO, tmp_path / "two", 60, processes=2)
    assert one == two
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_no_round_is_begun_that_may_not_be_needed(tmp_path: Path) -> None:
    from choreo.envs import make
    from choreo.training.collect import _Recording

    spec = make(ECHO.env, time_limit=20).spec  # at most 20 steps
    recording = _Recording(replace(ECHO, environments=2), spec, tmp_path, 70, None)
    assert recording.next_round() == 0
    recording.playing = {0}
    assert recording.next_round() == 1  # as 40 steps are fewer than 70
    recording.playing = {0, 1}
    assert recording.next_round() is None  # as 80 may come
    recording.lengths, recording.playing = {0: 5, 1: 5}, {1}
    assert recording.next_round() == 2
    recording.lengths, recording.playing = {0: 20, 1: 20, 2: 20, 3: 10}, set()
    assert recording.next_round() is None
    recording.lengths.pop(1)
    assert recording.next_round() == 0


def test_policies_seeds_and_sampling_make_a_difference(tmp_path: Path, explorer: Plan) -> None:
    plans = {
        "explorer": explorer,
        "mean": replace(explorer, sample=False),
        "skill": replace(explorer, which="skill"),
        "seed": replace(explorer, seed=4),
        "random": Plan(explorer.env, LIMIT, seed=3),
    }
    contents = set()
    for name, plan in plans.items():
        collect(plan, tmp_path / name, 20)
        contents |= set(files(tmp_path / name).values())
    assert len(contents) == len(plans)


def test_another_plan_or_agent_is_refused_by_name(tmp_path: Path, explorer: Plan) -> None:
    collect(explorer, tmp_path / "data", 60)
    with pytest.raises(UsageError, match=r"plan\.seed: found 3, wanted 4"):
        collect(replace(explorer, seed=4), tmp_path / "data", 60)
    with pytest.raises(UsageError, match=r"begun for 60 frames"):
        collect(explorer, tmp_path / "data", 40)
    assert explorer.agent is not None
    toy_agent(seed=1).save(explorer.agent)
    with pytest.raises(UsageError, match="agent_sha256"):
        collect(explorer, tmp_path / "data", 60)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan("toy_envs:point"), "--time-limit"),
        (replace(ECHO, which="explore"), "give a run to --policy"),
        (replace(ECHO, environments=0), "at least 1"),
        (replace(ECHO, seed=-1), "seed"),
    ],
)
def test_plans_that_cannot_be_played_are_refused(tmp_path: Path, plan: Plan, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        collect(plan, tmp_path / "data", 60)
    assert not (tmp_path / "data").exists()


def test_two_processes_do_not_record_into_one_folder(tmp_path: Path) -> None:
    with claimed(tmp_path / "data"), pytest.raises(UsageError, match="Another process"):
        collect(ECHO, tmp_path / "data", 20)
    assert collect(ECHO, tmp_path / "data", 20).frames >= 20


def test_foreign_folders_and_environments_are_refused(tmp_path: Path, explorer: Plan) -> None:
    with pytest.raises(UsageError, match="does not fit this agent"):
        collect(replace(explorer, env="toy_envs:echo"), tmp_path / "data", 60)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(UsageError, match="something else"):
        collect(ECHO, tmp_path / "mine", 60)
    with pytest.raises(UsageError, match="at least 1"):
        collect(ECHO, tmp_path / "data", 0)
