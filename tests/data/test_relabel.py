"""Rewards worked out from stored physics are those the environment gave."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from choreo.data import ImportOptions, export_data, import_data
from choreo.data.card import write_card
from choreo.data.claim import claimed
from choreo.data.episode import BadEpisode
from choreo.data.formats.exorl import episode_path, list_episodes, save_episode
from choreo.data.formats.npz import load
from choreo.data.relabel import TaskRewards, relabel
from choreo.envs import EnvSpec, make
from choreo.envs.make import URLB_TASKS
from choreo.errors import UsageError

STEPS = 8
Arrays = dict[str, np.ndarray]


def played(env: str, seed: int = 3, steps: int = STEPS) -> Arrays:
    """The start of an episode with random actions, one action held all the way."""
    environment = make(env)
    rng = np.random.default_rng(seed)
    episode = [environment.reset(seed)]
    states, actions = (
        [environment.physics_state()],
        [np.zeros(environment.spec.action_size, np.float32)],
    )
    for _ in range(steps):
        action = rng.uniform(-1, 1, environment.spec.action_size)
        actions.append(action.astype(np.float32))
        episode.append(environment.step(actions[-1]))
        states.append(environment.physics_state())
    environment.close()
    return {
        "observation": np.stack([step.observation["observation"] for step in episode]),
        "action": np.stack(actions),
        "reward": np.array([[step.reward] for step in episode], np.float32),
        "discount": np.ones((steps + 1, 1), np.float32),
        "physics": np.stack([state for state in states if state is not None]),
    }


def recorded(folder: Path, env: str = "walker_stand", repeat: int = 1, **changes: object) -> Arrays:
    """A folder with the start of one episode and a card; returns its arrays."""
    folder.mkdir(parents=True)
    arrays = played("walker_stand", steps=3) | changes  # type: ignore[operator]
    kept = {name: np.asarray(value) for name, value in arrays.items() if value is not None}
    save_episode(episode_path(folder, 0, 3), kept)
    environment = make("walker_stand")
    spec = environment.spec.to_json() | {"id": env, "action_repeat": repeat}
    write_card(folder, {"kind": "episodes", "spec": spec})
    return kept


def relabelled(arrays: Arrays, task: str) -> Arrays:
    """The same arrays under another task, without files."""
    rewards = TaskRewards(task)
    blank = {"reward": np.full_like(arrays["reward"], 7), "discount": arrays["discount"] * 7}
    result = rewards.relabel(arrays | blank, "here")
    rewards.close()
    return result


def at_the_brick(arrays: Arrays, task: str) -> Arrays:
    """A jaco episode that begins with the brick moved to the hand, with its own rewards.

    An arm that moves by chance is far from the brick, where all rewards are as good as 0.
    """
    from choreo.envs.simulators import urlb

    simulator = urlb.make_jaco(task, task.removeprefix("jaco_reach_"))
    simulator.reset(0)
    state, action = simulator.physics_state(), arrays["action"][1].astype(np.float64)
    assert state is not None
    simulator.reward_at(state, action)  # which also looks at the model, and resets to do so
    state[9:12] = simulator.coordinates() + 0.02  # arm and hand have nine joints, then the brick
    simulator.reward_at(state, action)
    frames, states = [], [state]
    for row in range(1, STEPS + 1):
        low, high = simulator.action_low, simulator.action_high
        own = (high - low) / 2 * arrays["action"][row] + (high + low) / 2
        frames.append(simulator.step(np.clip(own, low, high)))
        after = simulator.physics_state()
        assert after is not None
        states.append(after)
    simulator.close()
    reward = np.array([[0.0], *([frame.reward] for frame in frames)], np.float32)
    return arrays | {"reward": reward, "physics": np.stack(states)}


@pytest.mark.parametrize("task", URLB_TASKS)
def test_relabelled_rewards_are_the_environments_own(task: str) -> None:
    own = played(task)
    if task.startswith("jaco"):
        own = at_the_brick(own, task)
    found = relabelled(own, task)
    assert own["reward"].max() > 0.05
    np.testing.assert_allclose(found["reward"], own["reward"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found["discount"], own["discount"])
    for name in ("observation", "action", "physics"):
        np.testing.assert_array_equal(found[name], own[name])


@pytest.mark.parametrize(
    ("recorded_in", "task", "seed"),
    [
        ("walker_stand", "walker_run", 3),
        ("walker_run", "walker_flip", 3),
        ("quadruped_walk", "quadruped_jump", 3),
        ("jaco_fixed_reach_top_left", "jaco_fixed_reach_bottom_right", 56),  # near that target
    ],
)
def test_another_tasks_rewards_are_those_of_playing_it(
    recorded_in: str, task: str, seed: int
) -> None:
    """Tasks of a domain start and move alike, so the same actions give the same states."""
    there, wanted = played(recorded_in, seed), played(task, seed)
    np.testing.assert_array_equal(there["physics"], wanted["physics"])
    found = relabelled(there, task)["reward"]
    np.testing.assert_allclose(found, wanted["reward"], rtol=0, atol=1e-6)
    assert wanted["reward"].max() > 0.05
    assert np.abs(found - there["reward"]).max() > 0.01


@pytest.mark.parametrize("task", ["dmc:cartpole-balance", "dmc:humanoid-stand"])
def test_rewards_that_look_at_the_control_signal_get_it(task: str) -> None:
    own = played(task)
    np.testing.assert_allclose(relabelled(own, task)["reward"], own["reward"], rtol=0, atol=1e-6)
    still = own | {"action": np.zeros_like(own["action"])}
    assert np.abs(relabelled(still, task)["reward"] - own["reward"]).max() > 1e-3


def test_a_folder_is_relabelled_and_says_so(tmp_path: Path) -> None:
    arrays = recorded(tmp_path / "stand")
    told: list[tuple[int, int]] = []
    found = relabel(
        tmp_path / "stand", tmp_path / "run", "walker_run", lambda *done: told.append(done)
    )
    wanted = relabelled(arrays, "walker_run")
    written = load(episode_path(tmp_path / "run", 0, 3))
    assert written.keys() == arrays.keys()
    np.testing.assert_array_equal(written["reward"], wanted["reward"])
    assert (found.episodes, found.steps, told) == (1, 3, [(1, 1)])
    assert found.mean_return == pytest.approx(float(wanted["reward"].sum()))
    assert written["reward"][0] == 0 and written["discount"].all()
    assert json.loads((tmp_path / "run" / "relabel.json").read_text())["recorded_in"] == (
        "walker_stand"
    )
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert EnvSpec.from_json(card["spec"]).id == "walker_run"


def test_the_same_call_goes_on_after_whole_episodes(tmp_path: Path) -> None:
    recorded(tmp_path / "stand")
    path = episode_path(tmp_path / "stand", 0, 3)
    shutil.copy(path, episode_path(tmp_path / "stand", 1, 3))
    relabel(tmp_path / "stand", tmp_path / "run", "walker_run")
    first, second = (episode_path(tmp_path / "run", number, 3) for number in (0, 1))
    before = first.stat().st_mtime_ns
    bytes_before = second.read_bytes()
    second.unlink()
    (tmp_path / "run" / f".{second.name}.1.tmp").write_bytes(b"half")
    relabel(tmp_path / "stand", tmp_path / "run", "walker_run")
    assert first.stat().st_mtime_ns == before
    assert second.read_bytes() == bytes_before
    assert list_episodes(tmp_path / "run") == {0: 3, 1: 3}
    assert not list((tmp_path / "run").glob(".*"))


def test_bad_episodes_are_left_out_and_counted(tmp_path: Path) -> None:
    arrays = recorded(tmp_path / "stand")
    bad = episode_path(tmp_path / "stand", 1, 3)
    save_episode(bad, arrays | {"physics": arrays["physics"][:-1]})
    with pytest.raises(BadEpisode, match=f"{bad.name}.*cut short.*--skip-bad"):
        relabel(tmp_path / "stand", tmp_path / "run", "walker_run")
    found = relabel(tmp_path / "stand", tmp_path / "run", "walker_run", skip_bad=True)
    assert (found.episodes, found.steps, found.skipped.count) == (1, 3, 1)
    assert bad.name in found.skipped.first[0]
    assert list_episodes(tmp_path / "run") == {0: 3}
    episode_path(tmp_path / "stand", 0, 3).unlink()
    with pytest.raises(UsageError, match="None of the 1 episodes"):
        relabel(tmp_path / "stand", tmp_path / "none", "walker_run", skip_bad=True)


def test_two_processes_do_not_relabel_into_one_folder(tmp_path: Path) -> None:
    recorded(tmp_path / "stand")
    with claimed(tmp_path / "run"), pytest.raises(UsageError, match="Another process"):
        relabel(tmp_path / "stand", tmp_path / "run", "walker_run")
    assert relabel(tmp_path / "stand", tmp_path / "run", "walker_run").episodes == 1


def test_a_flag_of_termination_follows_the_discount() -> None:
    own = played("walker_stand", steps=2) | {"is_terminal": np.array([False, False, True])}
    found = relabelled(own, "walker_run")
    assert found["discount"].all() and not found["is_terminal"].any()


@pytest.mark.parametrize("task", ["walker_run", "quadruped_run"])
def test_an_imported_set_is_relabelled_once_it_is_exported(tmp_path: Path, task: str) -> None:
    arrays = recorded(tmp_path / "stand")
    import_data(tmp_path / "stand", tmp_path / "set", ImportOptions(keep=("physics",)))
    with pytest.raises(UsageError, match="choreo data export"):
        relabel(tmp_path / "set", tmp_path / "run", task)
    export_data(tmp_path / "set", tmp_path / "out", "npz")
    if task == "quadruped_run":
        with pytest.raises(UsageError, match=r"recorded in walker_stand.* another domain"):
            relabel(tmp_path / "out", tmp_path / "run", task)
        return
    relabel(tmp_path / "out", tmp_path / "run", task)
    found = load(episode_path(tmp_path / "run", 0, 3))["reward"]
    np.testing.assert_array_equal(found, relabelled(arrays, task)["reward"][:, 0])


def test_flat_rewards_stay_flat_and_missing_ones_are_added() -> None:
    own = played("walker_stand", steps=2)
    flat = own | {"reward": own["reward"][:, 0]}
    assert relabelled(flat, "walker_stand")["reward"].shape == (3,)
    rewards = TaskRewards("walker_stand")
    bare = {name: own[name] for name in ("action", "physics")}
    assert rewards.relabel(bare, "here")["reward"].shape == (3, 1)
    rewards.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"physics": None}, "no physics"),
        ({"physics": np.zeros((4, 57))}, r"'physics' has shape \(4, 57\).*\(rows, 18\)"),
        ({"physics": np.zeros((3, 18))}, "cut short"),
        ({"physics": np.full((4, 18), np.nan)}, "'physics' is NaN"),
        ({"action": np.zeros((4, 2), np.float32)}, r"'action' has shape \(4, 2\)"),
        ({"action": np.full((4, 6), 2, np.float32)}, r"leave \[-1, 1\]"),
        ({"env": "quadruped_walk"}, "another domain"),
        ({"repeat": 2}, "2 frames per step"),
    ],
)
def test_data_that_do_not_fit_are_refused(tmp_path: Path, change: dict, words: str) -> None:
    recorded(tmp_path / "data", **change)
    with pytest.raises(UsageError, match=words):
        relabel(tmp_path / "data", tmp_path / "new", "walker_run")


@pytest.mark.parametrize(
    ("env", "task", "words"),
    [
        ("jaco", "jaco_reach_bottom_right", "brick"),
        ("dmc:reacher-easy", "dmc:reacher-easy", "draws a target"),
        ("gym:Pendulum-v1", "gym:Pendulum-v1", "no physics state"),
    ],
)
def test_tasks_whose_reward_is_not_in_the_state_are_refused(
    tmp_path: Path, env: str, task: str, words: str
) -> None:
    change = {"physics": np.zeros((4, 4)), "action": np.zeros((4, 2), np.float32)}
    recorded(tmp_path / "data", env, **change)
    with pytest.raises(UsageError, match=words):
        relabel(tmp_path / "data", tmp_path / "new", task)


def test_folders_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    recorded(tmp_path / "data")
    relabel(tmp_path / "data", tmp_path / "run", "walker_run")
    for destination, task in (("data", "walker_run"), ("run", "walker_walk")):
        with pytest.raises(UsageError, match="folder"):
            relabel(tmp_path / "data", tmp_path / destination, task)
    with pytest.raises(UsageError, match=r"no \.npz"):
        relabel(tmp_path / "nothing", tmp_path / "new", "walker_run")


@pytest.mark.parametrize("note", ["[1]", "{", '{"task": 1}', "[" * 10**5])
def test_a_spoilt_note_of_an_earlier_start_is_named(tmp_path: Path, note: str) -> None:
    recorded(tmp_path / "data")
    relabel(tmp_path / "data", tmp_path / "run", "walker_run")
    (tmp_path / "run" / "relabel.json").write_text(note)
    with pytest.raises(UsageError, match=r"relabel\.json (is damaged|cannot be read)"):
        relabel(tmp_path / "data", tmp_path / "run", "walker_run")
