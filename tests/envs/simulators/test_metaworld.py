"""Meta-World: chance from our seed alone, a hidden goal, sparse reward, the time limit."""

import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from choreo.envs import goal_sets
from choreo.envs.simulated import SimulatedEnvironment
from choreo.envs.simulators import metaworld
from choreo.envs.simulators.metaworld import TASKS, MetaworldSimulator, make_metaworld, tasks
from choreo.errors import UsageError

STILL = np.zeros(4, np.float32)


def make_reach(task: str = "reach") -> SimulatedEnvironment:
    return SimulatedEnvironment(f"mw_{task}", make_metaworld(f"mw_{task}", task), 2)


@pytest.fixture(scope="module")
def reach() -> SimulatedEnvironment:
    return make_reach()


def upstream(environment: SimulatedEnvironment) -> object:
    assert isinstance(environment.simulator, MetaworldSimulator)
    return environment.simulator._environment


def fingers(environment: SimulatedEnvironment) -> np.ndarray:
    return upstream(environment).tcp_center  # type: ignore[attr-defined]


def goal_of(environment: SimulatedEnvironment) -> np.ndarray:
    return upstream(environment)._target_pos  # type: ignore[attr-defined]


def digest(environment: SimulatedEnvironment, seed: int, steps: int = 30) -> str:
    """All that an episode of random actions shows."""
    rng = np.random.default_rng(0)
    found = hashlib.sha256()
    step = environment.reset(seed)
    for _ in range(steps):
        found.update(step.observation["observation"].tobytes() + np.float64(step.reward).tobytes())
        step = environment.step(rng.uniform(-1, 1, 4).astype(np.float32))
    return found.hexdigest()


def _global_state() -> bytes:
    return pickle.dumps(np.random.get_state())


def reach_for(environment: SimulatedEnvironment, target: np.ndarray, steps: int) -> list[float]:
    """Move the fingers straight towards a point; the rewards on the way."""
    rewards = []
    for _ in range(steps):
        action = np.append((target - fingers(environment)) * 10, -1.0).clip(-1, 1)
        rewards.append(environment.step(action.astype(np.float32)).reward)
    return rewards


def test_the_spec_is_the_protocols(reach: SimulatedEnvironment) -> None:
    spec = reach.spec
    assert spec.observations["observation"].shape == (39,)
    assert spec.action_size == 4 and spec.episode_steps == 250
    assert spec.step_seconds == pytest.approx(0.025)
    assert spec.coordinates == ("hand_x", "hand_y", "hand_z", "gripper")


def test_an_episode_ends_by_time_after_500_frames(reach: SimulatedEnvironment) -> None:
    step, count = reach.reset(0), 0
    while not step.is_last:
        step, count = reach.step(STILL), count + 1
    assert count == 250 and not step.is_terminal
    longer = SimulatedEnvironment("mw_reach", make_metaworld("mw_reach", "reach", False), 2, 260)
    longer.reset(0)
    lasts = [longer.step(STILL).is_last for _ in range(260)]
    assert lasts.index(True) == 259


@pytest.mark.parametrize("task", ["reach", "button-press-topdown", "door-open", "peg-insert-side"])
def test_the_seed_decides_everything(task: str) -> None:
    environment = make_reach(task)
    np.random.seed(1)
    first = digest(environment, 7)
    before = _global_state()
    other = digest(environment, 8, 60)
    again = digest(environment, 7)
    assert before == _global_state(), "the global generator was used"
    np.random.seed(2)
    assert first == again == digest(make_reach(task), 7) != other


def test_another_process_gives_the_same_episode(reach: SimulatedEnvironment) -> None:
    here = "envs.simulators.test_metaworld"
    code = f"from {here} import digest, make_reach; print(digest(make_reach(), 3))"
    path = [entry for entry in sys.path if entry]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {path}; {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == digest(reach, 3)


def test_object_and_goal_are_drawn_anew(reach: SimulatedEnvironment) -> None:
    places, goals = [], []
    for seed in range(8):
        places.append(reach.reset(seed).observation["observation"][4:6])
        goals.append(goal_of(reach).copy())
    assert len(np.unique(np.array(places), axis=0)) == len(np.unique(np.array(goals), axis=0)) == 8
    space = upstream(reach).goal_space  # type: ignore[attr-defined]
    assert all((space.low <= goal).all() and (goal <= space.high).all() for goal in goals)


def test_frames_are_those_of_upstream(reach: SimulatedEnvironment) -> None:
    """The same draw and actions, given to upstream as its own benchmark gives them."""
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    own = ALL_V3_ENVIRONMENTS["reach-v3"]()
    own._set_task_called = True
    given = goal_sets.reach_episodes(4)[11]
    own._last_rand_vec = given
    expected, _ = own.reset()
    reach.set_goal(given)
    step = reach.reset(5)
    reach.set_goal(None)
    rng = np.random.default_rng(3)
    for _ in range(40):
        assert np.array_equal(step.observation["observation"], expected.astype(np.float32))
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        infos = []
        for _ in range(2):
            expected, _, _, _, info = own.step(action.astype(np.float64))
            infos.append(float(info["success"]))
        step = reach.step(action)
        assert step.reward == sum(infos)


def test_the_given_goal_is_hidden_and_rewards_when_reached(reach: SimulatedEnvironment) -> None:
    goal = np.array([0.25, 0.55, 0.3])
    reach.set_goal(goal)
    first = reach.reset(1).observation["observation"]
    assert np.array_equal(goal_of(reach), goal)
    assert np.array_equal(first[36:], np.zeros(3)) and not np.isin(goal, first).any()
    rewards = reach_for(reach, goal, 60)
    assert rewards[0] == 0.0 and rewards[-1] == 2.0, "one for each of the two frames"
    assert set(rewards) <= {0.0, 1.0, 2.0}
    assert np.linalg.norm(reach.coordinates()[:3] - goal) < 0.08, "the hand is above the fingers"
    reach.reset(1)
    assert np.array_equal(goal_of(reach), goal), "it holds until another is given"
    reach.set_goal(None)
    reach.reset(1)
    assert not np.array_equal(goal_of(reach), goal)


def test_the_goal_changes_nothing_that_is_seen(reach: SimulatedEnvironment) -> None:
    episodes = goal_sets.reach_episodes(0)[0], goal_sets.reach_episodes(0)[0].copy()
    episodes[1][3:] = goal_sets.reach_goals(0)[5]
    seen = []
    for episode in episodes:
        reach.set_goal(episode)
        first = reach.reset(2).observation["observation"]
        seen.append([first, *(reach.step(STILL).observation["observation"] for _ in range(5))])
    reach.set_goal(None)
    assert np.array_equal(seen[0], seen[1])
    assert np.allclose(seen[0][0][4:6], episodes[0][:2], atol=0.02), "the object starts as given"


def test_the_authors_goals_are_taken(reach: SimulatedEnvironment) -> None:
    for number in range(goal_sets.SETS):
        for episode in goal_sets.reach_episodes(number):
            reach.set_goal(episode)
    reach.reset(0)
    assert np.array_equal(goal_of(reach), goal_sets.reach_goals(9)[49])
    reach.set_goal(None)


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        ([0.1, 0.2], "3 finite values"),
        ([np.nan, 0.6, 0.2], "3 finite values"),
        ([0.0, 2.0, 0.2], "out of reach"),
    ],
)
def test_a_goal_that_cannot_be(goal: list[float], words: str, reach: SimulatedEnvironment) -> None:
    with pytest.raises(UsageError, match=words):
        reach.set_goal(np.array(goal))


def test_a_goal_at_the_object(reach: SimulatedEnvironment) -> None:
    reach.set_goal(np.array([0.0, 0.65, 0.02, 0.0, 0.65, 0.2]))
    with pytest.raises(UsageError, match="too near to where the object"):
        reach.reset(0)
    reach.set_goal(None)


def test_tasks_without_goals_of_their_own_refuse_one() -> None:
    with pytest.raises(UsageError, match="takes no goals"):
        make_reach("button-press").set_goal(np.array([0.0, 0.6, 0.2]))


def test_a_diverged_simulation_cuts_its_episode(
    reach: SimulatedEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    reach.reset(0)
    upstream(reach).data.qvel[0] = np.nan  # type: ignore[attr-defined]
    cut = reach.step(STILL)
    assert cut.is_last and not cut.is_terminal and "diverged" in caplog.text
    reach.reset(0)
    assert not reach.step(STILL).is_last


def test_all_tasks_are_listed_and_unknown_ones_hinted_at() -> None:
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    assert tasks() == sorted(name.removesuffix("-v3") for name in ALL_V3_ENVIRONMENTS)
    assert len(TASKS) == 50
    with pytest.raises(UsageError, match="did you mean mw_reach"):
        make_metaworld("mw_reech", "reech")


def test_underscores_name_a_task_too() -> None:
    simulator = make_metaworld("mw_button_press", "button_press")
    assert simulator.reset(0) is None and simulator.observe()["observation"].any()


def test_without_meta_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "metaworld.env_dict", None)
    with pytest.raises(UsageError, match=r"pip install 'choreo\[metaworld\]'"):
        make_metaworld("mw_reach", "reach")


def test_states_import_no_opengl() -> None:
    code = (
        "import sys; from choreo.envs.simulators.metaworld import make_metaworld as make;"
        "make('mw_reach', 'reach').reset(0); print([m for m in sys.modules if 'OpenGL' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pictures_are_the_right_way_up_and_from_nearer(reach: SimulatedEnvironment) -> None:
    model = upstream(reach).model  # type: ignore[attr-defined]
    camera = model.camera(metaworld.CAMERA)
    assert camera.pos.tolist() == [0.75, 0.075, 0.7]
    data = upstream(reach).data  # type: ignore[attr-defined]
    reach.reset(0)
    for name in ("corner", "corner2", "corner3", "corner4", "topview"):
        upwards = data.camera(name).xmat.reshape(3, 3)[2, 1]
        assert upwards > -1e-6, f"{name} hangs upside down"
    sight = -data.camera(metaworld.CAMERA).xmat.reshape(3, 3)[:, 2]
    towards = fingers(reach) - camera.pos
    assert sight @ towards / np.linalg.norm(towards) > 0.8, "it looks at the hand"


@pytest.mark.rendering
def test_the_goal_is_not_drawn(reach: SimulatedEnvironment) -> None:
    pictures = []
    for goal in ([0.0, 0.5, 0.3], [-0.2, 0.6, 0.1]):
        reach.set_goal(np.array([0.05, 0.69, 0.02, *goal]))
        reach.reset(0)
        pictures.append(reach.render(64, 64))
    reach.set_goal(None)
    assert pictures[0].std() > 10 and np.array_equal(pictures[0], pictures[1])
