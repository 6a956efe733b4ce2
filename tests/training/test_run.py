"""Whole runs of the `debug` preset on toy environments, in this process."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_runs import (
    assert_same_run,
    finetune,
    last_checkpoint,
    metrics,
    pretrain,
    replay_files,
    state,
    steps,
    tensors,
)

import choreo
from choreo.agent import load
from choreo.cli import main
from choreo.record import RunFolder
from choreo.training.online import OnlineTrainer


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training run that is only looked at."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    return pretrain(folder, "--snapshots", "50", "90", "--model.standardize", "1.0")


def test_replay_holds_what_the_agent_was_shown_and_did(tmp_path: Path) -> None:
    folder = pretrain(tmp_path / "run", env="toy_envs:echo", frames=80)
    found = steps(folder)
    np.testing.assert_allclose(found["observation"][:, :2], found["action"], atol=1e-6)
    assert not found["action"][found["is_first"]].any()
    assert np.abs(found["action"][~found["is_first"]]).min() > 0
    assert (~found["is_first"]).sum() == 80


def test_updates_follow_the_frames(plain: Path) -> None:
    """One update every 10 frames after 40 random ones; lines every 50 frames and per episode."""
    assert state(plain)["learner"]["updates"] == (120 - 40) // 10
    train = [line for line in metrics(plain) if line["kind"] == "train"]
    assert [(line["frames"], line["updates"]) for line in train] == [(50, 1), (100, 6)]
    episodes = [line for line in metrics(plain) if line["kind"] == "episode"]
    assert [line["frames"] for line in episodes] == [20, 40, 60, 80, 100, 120]
    assert {line["length"] for line in episodes} == {20}


def test_the_time_of_a_run_is_recorded_to_its_end(plain: Path) -> None:
    """Also where no line of training metrics follows, as in a run that is too short for any."""
    times = [json.loads(line) for line in (plain / "timing.jsonl").read_text().splitlines()]
    assert times[-1]["frames"] == state(plain)["count"] and times[-1]["seconds"] > 0


def test_observations_are_standardised_by_what_was_seen_before_the_first_update(
    plain: Path,
) -> None:
    model, seen = load(plain).world_model, steps(plain)
    taken = np.flatnonzero(np.cumsum(~seen["is_first"]) == 50)[0] + 1
    expected = torch.as_tensor(seen["observation"][:taken])
    assert bool(model.standardizer.fitted)
    torch.testing.assert_close(model.standardizer.means["observation"].data, expected.mean(0))


def test_the_mode_is_said_and_may_change_on_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pretrain(tmp_path / "run", frames=60)
    assert "updates run eager on cpu (--mode auto)" in capsys.readouterr().err
    pretrain(folder, "--mode", "eager", frames=80)
    assert "updates run eager on cpu (--mode eager)" in capsys.readouterr().err
    assert state(folder)["count"] == 80


def test_environments_are_under_way_while_updates_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next step of all of them was begun before; and their actions came from sound networks."""
    seen = []
    plain = OnlineTrainer.update

    def update(self: OnlineTrainer) -> None:
        assert self.finite._watched is None, "looked at before it acted"
        seen.append(self.collector.pending is not None)
        plain(self)

    monkeypatch.setattr(OnlineTrainer, "update", update)
    pretrain(tmp_path / "run", frames=80)
    assert seen == [True] * 4


def test_snapshots_appear_at_their_frames_and_act(plain: Path) -> None:
    folders = sorted((plain / "snapshots").glob("frames_*"))
    assert [folder.name for folder in folders] == ["frames_50", "frames_90"]
    observation, actions = np.ones(4, np.float32), []
    for path in (*folders, plain):
        actions.append(choreo.load(path).session().act(observation, skill=1))
    assert len({action.tobytes() for action in actions}) == 3


def test_a_finished_run_started_again_does_nothing(tmp_path: Path) -> None:
    folder = pretrain(tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in (folder / "checkpoints").rglob("*")}
    data, lines = replay_files(folder), (folder / "metrics.jsonl").read_bytes()
    pretrain(folder)
    assert {p: p.stat().st_mtime_ns for p in (folder / "checkpoints").rglob("*")} == before
    assert replay_files(folder) == data and (folder / "metrics.jsonl").read_bytes() == lines


def test_a_run_with_more_frames_goes_on_as_if_it_had_had_them_at_once(tmp_path: Path) -> None:
    whole = pretrain(tmp_path / "whole", frames=170)
    parts = pretrain(tmp_path / "parts", frames=75)
    assert last_checkpoint(parts).name == "frames_000000075"
    pretrain(parts, frames=170)
    assert_same_run(whole, parts)


def test_evaluation_leaves_training_bitwise_as_it_is(tmp_path: Path) -> None:
    quiet = pretrain(tmp_path / "quiet")
    clock = ["--training.evaluate-every", "30", "--training.evaluate-episodes", "2"]
    scored = pretrain(tmp_path / "scored", *clock)
    evaluations = [line for line in metrics(scored) if line["kind"] == "evaluation"]
    assert [line["frames"] for line in evaluations] == [30, 60, 90, 120]
    assert metrics(quiet) == metrics(scored, without="evaluation")
    assert replay_files(quiet) == replay_files(scored)
    one, other = tensors(quiet), tensors(scored)
    assert one.keys() == other.keys() and all(one[key].equal(other[key]) for key in one)


def test_serial_and_parallel_environments_give_the_same_run(tmp_path: Path) -> None:
    two = ["--training.environments", "2", "--training.update-every", "20"]
    serial = pretrain(tmp_path / "serial", *two)
    parallel = pretrain(tmp_path / "parallel", *two, "--training.parallel")
    assert_same_run(serial, parallel)
    assert not np.array_equal(steps(serial, 0)["observation"], steps(serial, 1)["observation"])


def test_seeds_give_different_runs(tmp_path: Path, plain: Path) -> None:
    other = pretrain(tmp_path / "run", "--model.standardize", "1.0", "--seed", "1")
    assert not np.array_equal(steps(plain)["observation"], steps(other)["observation"])
    one, two = tensors(plain), tensors(other)
    assert not one["agent.skill_policy.actor.mean.weight"].equal(
        two["agent.skill_policy.actor.mean.weight"]
    )


@pytest.mark.parametrize("kind", ["plan2explore", "rnd", "apt", "icm", "random"])
def test_every_kind_of_exploration_runs(tmp_path: Path, kind: str) -> None:
    folder = pretrain(tmp_path / "run", "--exploration.kind", kind, frames=70)
    train = [line for line in metrics(folder) if line["kind"] == "train"]
    names = {key.split("/")[0] for key in train[-1]}
    assert state(folder)["learner"]["updates"] == 3
    assert ("exploration" in names) == (kind != "random")


def test_skills_by_a_discriminator_run_resume_and_are_reported_on(tmp_path: Path) -> None:
    options = ["--skills.kind", "diayn", "--exploration.kind", "apt"]
    whole = pretrain(tmp_path / "whole", *options, frames=80)
    parts = pretrain(tmp_path / "parts", *options, frames=60)
    assert_same_run(whole, pretrain(parts, *options, frames=80))
    train = [line for line in metrics(whole) if line["kind"] == "train"]
    assert train[-1]["skills/told_right"] <= 1 and "codebook/loss" not in train[-1]
    report = ["--env", "toy_envs:long_point", "--time-limit", "60", "--steps", "60"]
    report += ["--episodes", "2"]
    assert main(["skills", str(whole), *report, "--out", str(tmp_path / "out")]) == 0
    figures = json.loads((tmp_path / "out" / "skills.json").read_text())
    assert 0 <= figures["hit_rate"]["trained"] <= 1
    old, new = tensors(whole), tensors(finetune(tmp_path / "task", "--from", str(whole), frames=50))
    key = "agent.skills.discriminator.means"
    assert old[key].equal(new[key])


def test_several_observation_keys_run(tmp_path: Path) -> None:
    folder = pretrain(tmp_path / "run", env="toy_envs:keys", frames=60)
    assert steps(folder)["position"].shape == steps(folder)["velocity"].shape
    found = {"position": np.ones(2), "velocity": np.ones(2)}
    assert choreo.load(folder).session().act(found, skill=0).shape == (2,)


def test_fine_tuning_takes_the_pre_trained_agent_and_its_settings(
    plain: Path, tmp_path: Path
) -> None:
    folder = finetune(tmp_path / "run", "--from", str(plain))
    config = json.loads((folder / "config.json").read_text())["config"]
    source = json.loads((plain / "config.json").read_text())["config"]
    assert config["preset"] == "debug" and config["training"] == source["training"]
    old, new = tensors(plain), tensors(folder)
    for key in ("agent.skills.codebook.codes", "agent.world_model.standardizer.means.observation"):
        assert old[key].equal(new[key]), key
    for key in ("agent.skill_policy.actor.mean.weight", "agent.world_model.rssm.input.weight"):
        assert not old[key].equal(new[key]), key
    assert state(folder)["phase"]["found"]
    assert load(folder).session().act(np.ones(4)).shape == (2,)


def test_fine_tuning_adapts_nothing_while_there_is_no_reward(plain: Path, tmp_path: Path) -> None:
    folder = finetune(tmp_path / "run", "--from", str(plain), env="toy_envs:silent", frames=80)
    last = [line for line in metrics(folder) if line["kind"] == "train"][-1]
    assert not any(key.startswith("adaptation/") for key in last)
    old, new = tensors(plain), tensors(folder)
    key = "agent.skill_policy.actor.mean.weight"
    assert old[key].equal(new[key])
    assert not old["agent.world_model.rssm.input.weight"].equal(
        new["agent.world_model.rssm.input.weight"]
    )
    learner = state(folder)["learner"]
    assert learner["updates"] > 0 and learner["adaptation"] == 0
    assert not state(folder)["phase"]["found"]


def test_the_model_waits_and_random_skills_are_evaluated_where_it_is_told_to(
    plain: Path, tmp_path: Path
) -> None:
    """As the authors do; both cost updates or returns, so the small presets do otherwise."""
    options = ["--from", str(plain), "--training.evaluate-every", "30"]
    options += ["--training.evaluate-episodes", "2", "--imagination.gamma", "0.1"]
    options += ["--adaptation.before-reward"]
    waits = [*options, "random-skill", "--adaptation.model-waits"]
    one = finetune(tmp_path / "one", *waits, frames=60)
    other = finetune(tmp_path / "other", *options, "selector", frames=60)
    assert state(one)["learner"]["updates"] == 2 < state(other)["learner"]["updates"]
    lines = [[x for x in metrics(run) if x["kind"] == "evaluation"] for run in (one, other)]
    assert "critic/expected" not in lines[0][0], "random skills have no critic"
    assert all("critic/expected" in x and "critic/found" in x for x in lines[1])
    played = [[line["return"] for line in found] for found in lines]
    assert len(played[0]) == len(played[1]) == 2 and played[0][0] != played[1][0]


def test_the_explorer_searches_in_place_of_skills(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--from", str(plain), "--adaptation.search-with", "explorer"]
    one = finetune(tmp_path / "one", *options, frames=60)
    kept = [key for key in tensors(one) if key.startswith("agent.explorer.actor.")]
    old, new = tensors(plain), tensors(one)
    assert kept and all(old[key].equal(new[key]) for key in kept), "it acts and does not learn"
    by_chance = finetune(tmp_path / "by_chance", *options[:3], "random", frames=60)
    by_skills = finetune(tmp_path / "by_skills", *options[:2], frames=60)
    found = [steps(run)["action"][1:21] for run in (one, by_chance, by_skills)]
    assert not any(np.array_equal(found[i], found[i - 1]) for i in range(3))
    parts = finetune(tmp_path / "parts", *options, frames=30)
    assert_same_run(one, finetune(parts, *options, frames=60))
    words = ["finetune", "--env", "toy_envs:point", "--run-dir", str(tmp_path / "x"), *options[:3]]
    for who, start in (("explorer", "model"), ("explorer", "scratch"), ("random", "explorer")):
        assert main([*words, who, "--start", start]) == 2
        assert f"search-with {who} with --start {start}" in capsys.readouterr().err


def test_explorer_and_skills_search_in_turns(plain: Path, tmp_path: Path) -> None:
    options = ["--from", str(plain), "--training.random-frames", "60", "--adaptation.search-with"]
    by_explorer = finetune(tmp_path / "by_explorer", *options, "explorer", frames=60)
    whole = finetune(tmp_path / "whole", *options, "turns", frames=60)
    second = int(np.flatnonzero(steps(whole)["is_first"])[1])
    found = [steps(run)["action"] for run in (whole, by_explorer)]
    same = [np.array_equal(a, b) for a, b in zip(*found, strict=True)]
    assert all(same[: second + 1]) and not any(same[second + 1 : second + 4])
    parts = finetune(tmp_path / "parts", *options, "turns", frames=second // 2)
    assert_same_run(whole, finetune(parts, *options, "turns", frames=60))
    for start in ("model", "scratch"):
        run = finetune(tmp_path / start, *options, "turns", "--start", start, frames=30)
        assert RunFolder(run).config()["adaptation"]["search_with"] == "skills"


@pytest.mark.parametrize("option", ["episode", "stream"])
def test_a_run_goes_on_bitwise_with_either_kind_of_sequences(tmp_path: Path, option: str) -> None:
    options = ["--training.sequences", option, "--training.environments", "2"]
    whole = pretrain(tmp_path / "whole", *options, frames=90)
    parts = pretrain(tmp_path / "parts", *options, frames=60)
    assert_same_run(whole, pretrain(parts, *options, frames=90))


def test_episodes_that_hold_no_sequence_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no time limit says so before."""
    options = ["--training.sequences", "episode", "--training.length", "22"]
    folder = pretrain(tmp_path / "run", "--training.time-limit", "None", *options, frames=90)
    assert state(folder)["learner"]["updates"] == 0
    assert "nothing learned in 80 frames" in capsys.readouterr().err


def test_frozen_skills_stay_in_fine_tuning(plain: Path, tmp_path: Path) -> None:
    folder = finetune(tmp_path / "run", "--from", str(plain), "--freeze-skills")
    old, new = tensors(plain), tensors(folder)
    actor = [key for key in old if key.startswith("agent.skill_policy.actor.")]
    assert actor and all(old[key].equal(new[key]) for key in actor)
    assert state(folder)["learner"]["adaptation"] > 0


def test_from_scratch_has_the_same_sizes_and_fresh_weights(plain: Path, tmp_path: Path) -> None:
    folder = finetune(tmp_path / "run", "--from", str(plain), "--from-scratch", frames=60)
    old, new = tensors(plain), tensors(folder)
    shared = {key for key in old if key.startswith("agent.") and key in new}
    assert all(old[key].shape == new[key].shape for key in shared)
    assert not old["agent.skills.codebook.codes"].equal(new["agent.skills.codebook.codes"])


TAKEN = {
    "explorer": ("world_model.rssm.input.weight", "task_policy.actor.mean.weight"),
    "model": ("world_model.rssm.input.weight",),
    "scratch": (),
}
"""What each start takes of the pre-trained agent, by the name it has in the new one."""


@pytest.mark.parametrize("start", TAKEN)
def test_every_start_takes_what_it_says_and_learns_the_task(
    start: str, plain: Path, tmp_path: Path
) -> None:
    chosen = ["--from", str(plain), "--start", start]
    begun = load(finetune(tmp_path / "begun", *chosen, env="toy_envs:silent", frames=6))
    old = load(plain).state_dict() | {
        "task_policy.actor.mean.weight": load(plain).state_dict()["explorer.actor.mean.weight"]
    }
    new = begun.state_dict()
    for key in {key for keys in TAKEN.values() for key in keys} & new.keys():
        assert old[key].equal(new[key]) == (key in TAKEN[start]), key
    folder = finetune(tmp_path / "run", *chosen)
    assert state(folder)["learner"]["adaptation"] > 0
    assert json.loads((folder / "config.json").read_text())["config"]["start"] == start
    agent = load(folder)
    assert agent.plays_task and (agent.controller is None) == (start != "scratch")
    assert agent.session().act(np.ones(4)).shape == (2,)
    options = ["--episodes", "2", "--json", "--time-limit", "20"]
    assert main(["evaluate", str(folder), *options]) == 0


def test_a_start_goes_on_bitwise_after_it_was_stopped(plain: Path, tmp_path: Path) -> None:
    chosen = ["--from", str(plain), "--start", "explorer"]
    whole = finetune(tmp_path / "whole", *chosen)
    parts = finetune(tmp_path / "parts", *chosen, frames=70)
    assert_same_run(whole, finetune(parts, *chosen))


def test_old_names_of_starts_go_on_and_other_starts_are_refused(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run from before `--start` resumes as what it was."""
    for name, old, same, other in (
        ("skills", [], ["--start", "skills"], ["--start", "explorer"]),
        ("scratch", ["--from-scratch"], ["--start", "scratch"], ["--start", "skills"]),
    ):
        chosen = ["--from", str(plain)]
        folder = finetune(tmp_path / name, *chosen, *old, frames=60)
        content = json.loads((folder / "config.json").read_text())
        assert content["config"].pop("start") == name
        (folder / "config.json").write_text(json.dumps(content))
        finetune(folder, *chosen, *same, frames=70)
        where = ["--env", "toy_envs:point", "--frames", "80", "--run-dir", str(folder)]
        assert main(["finetune", *chosen, *where, *other]) == 2
        assert "start: found" in capsys.readouterr().err


def test_fine_tuning_from_a_snapshot(plain: Path, tmp_path: Path) -> None:
    folder = finetune(tmp_path / "run", "--from", str(plain / "snapshots/frames_50"), frames=50)
    new, old = tensors(folder), load(plain / "snapshots/frames_50").state_dict()
    assert old["skills.codebook.codes"].equal(new["agent.skills.codebook.codes"])


def test_sizes_of_networks_cannot_differ_from_the_agent_they_come_from(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["finetune", "--from", str(plain), "--env", "toy_envs:point", "--frames", "50"]
    arguments += ["--run-dir", str(tmp_path / "run"), "--model.deter", "7"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "model.deter" in error and "7" in error and "16" in error
    assert not (tmp_path / "run").exists()


def test_a_long_run_drops_its_oldest_experience_and_goes_on(tmp_path: Path) -> None:
    cap = ["--replay.max-gb", "0.000002"]
    whole = pretrain(tmp_path / "whole", *cap, frames=170)
    parts = pretrain(tmp_path / "parts", *cap, frames=90)
    pretrain(parts, *cap, frames=170)
    assert_same_run(whole, parts)
    held = state(whole)["replay"]
    assert 8 <= held["stop"][0] - held["start"][0] <= 70 < held["stop"][0]
