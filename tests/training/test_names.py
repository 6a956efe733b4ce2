"""Observations may be called as anything else is called: replay, losses, metrics, checkpoints."""

from pathlib import Path

import numpy as np
from odd_envs import Names
from toy_runs import metrics, pretrain, steps

import choreo

SHOWN = (
    "observation_action", "observation_reward", "observation_discount", "observation_is_first",
    "kl", "keys", "observation", "robot.arm", "image/x",
)  # fmt: skip


def test_a_run_keeps_every_name_apart_and_goes_on(tmp_path: Path) -> None:
    run = pretrain(tmp_path, env="odd_envs:Names", frames=60)
    pretrain(tmp_path, env="odd_envs:Names", frames=120)
    held = steps(run)
    for number, key in enumerate(SHOWN):
        assert (held[key] == number / 2).all(), key
    assert not np.isclose(held["action"][1:5], held["observation_action"][1:5, :2]).all()
    assert held["is_first"].dtype == bool and not held["reward"].any()
    found = next(line for line in metrics(run) if "world_model/kl" in line)
    names = {key.removeprefix("world_model/") for key in found}
    others = {f"loss_{key}" for key in SHOWN if key != "kl"}
    assert {"kl", "loss_kl", "loss_observation/kl", "loss_reward", "loss"} | others <= names
    terms = [found[f"world_model/{name}"] for name in names if name.startswith("loss_")]
    assert len(terms) == len(SHOWN) + 2
    np.testing.assert_allclose(sum(terms), found["world_model/loss"], rtol=1e-4)
    agent = choreo.load(run)
    assert set(agent.spec.observations) == set(SHOWN)
    given = {key: np.full(3, number / 2) for number, key in enumerate(SHOWN)}
    assert agent.session().act(given, skill=0).shape == (2,)
    assert len(Names.NAMES) == len(SHOWN)
