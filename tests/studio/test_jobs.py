"""Figures are computed once, kept under the checkpoint's hash, and written nowhere else."""

import asyncio
import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import toy_runs
import toy_studio
from toy_studio import Client, score, serving, tree

from choreo.cli import main
from choreo.data import write_episode
from choreo.record import checkpoint
from choreo.studio import growth, tasks
from choreo.studio.cache import Cache, name_of
from choreo.studio.desk import kept
from choreo.studio.figures import Made
from choreo.studio.jobs import Job
from choreo.studio.routes import Api
from choreo.studio.runs import find_runs, identity_of

NAME = name_of("film", 1, {"skill": 0})


def test_a_film_is_made_once_for_two_who_ask_and_two_servers(client: Client, runs: Path) -> None:
    before = tree(runs)
    path = f"/api/runs/{client.run()}/films/trained/1"
    with serving(runs, trust=True) as other:
        second, answers = Client(other.address), []
        both = [
            threading.Thread(target=lambda c=c: answers.append(c.settled(f"{path}.webp")))
            for c in (client, second)
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
    assert [one.status for one in answers] == [200, 200], answers
    assert answers[0].body == answers[1].body and answers[0].body.startswith(b"RIFF")
    assert answers[0].headers["content-type"] == "image/webp"
    film = client.get(f"{path}.mp4")
    assert (film.status, film.headers["content-type"]) == (200, "video/mp4")
    part = client.get(f"{path}.mp4", headers=client.usual | {"Range": "bytes=0-99"})
    assert (part.status, part.body) == (206, film.body[:100])
    known = client.usual | {"If-None-Match": film.headers["etag"]}
    assert client.get(f"{path}.mp4", headers=known).status == 304
    assert tree(runs) == before


def test_two_workers_that_are_asked_for_a_figure_compute_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").touch()
    made: list[str] = []

    def slow(*_: object) -> Made:
        made.append("film")
        time.sleep(0.3)
        return Made({"webp": "file:.webp"}, {".webp": b"film"})

    monkeypatch.setitem(tasks.FIGURES, "film", slow)
    opened: Any = SimpleNamespace(identity="e" * 64)
    message = {"task": "film", "name": NAME}

    def ask() -> None:
        kept(opened, Cache(tmp_path, "e" * 64, 10**6), message, b"", lambda *_: None)

    both = [threading.Thread(target=ask) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert made == ["film"]
    assert Cache(tmp_path, "e" * 64, 10**6).read(f"{NAME}.webp") == b"film"


def test_the_map_of_all_conditions_is_there_at_once_the_second_time(
    client: Client, runs: Path
) -> None:
    path = f"/api/runs/{client.run()}/map"
    found = client.settled(path).json
    assert found["state"] == "ready", found
    skills = len(found["map"]["skills"])
    assert skills == 4 and len(found["switching"]["hits"]) == 4
    assert all(isinstance(one, str) for one in found["verdicts"])
    for condition in ("untrained", "random"):
        other = client.get(f"{path}?condition={condition}").json
        assert other["map"]["condition"] == condition
    with serving(runs, trust=True) as again:
        second, began = Client(again.address), time.monotonic()
        assert second.get(path).json["map"] == found["map"]
        assert time.monotonic() - began < 2
    assert identity_of(find_runs(runs)[0]) == found["checkpoint"]


def test_a_map_that_gets_ready_while_it_is_asked_for_comes_whole() -> None:
    job = Job("1", cast(Any, SimpleNamespace(id="1")), "e" * 64, "map", {}, "map", state="working")

    def later(run: Any) -> bool:  # the worker ends while the disk is looked at
        job.state = "ready"
        return False

    async def run(id: str) -> None: ...

    cache = SimpleNamespace(read_json=lambda name: {"maps": {"trained": {"skills": []}}})
    jobs = SimpleNamespace(ensure=lambda *_, again: job, cache=lambda *_: cache)
    studio: Any = SimpleNamespace(jobs=jobs, library=SimpleNamespace(newer=later), run=run)
    told = json.loads(bytes(asyncio.run(Api(studio).map("1")).body))
    assert (told["state"], told["map"]) == ("ready", {"skills": []})


def test_a_score_is_imagined_and_filmed_as_choreo_play_does(
    client: Client, runs: Path, tmp_path: Path
) -> None:
    run = f"/api/runs/{client.run()}"
    asked = {"score": score((1, 8), (2, 8))}
    imagined = client.done(f"{run}/imagine", asked)
    assert imagined["result"]["skills"] == [1] * 8 + [2] * 8, imagined
    undrawn = client.settled(imagined["result"]["film"])  # of numbers alone, and no simulator's
    assert undrawn.status == 404 and "drawn" in undrawn.json["error"]
    film = client.done(f"{run}/film", asked | {"format": "gif"})
    answer = client.get(film["result"]["url"])
    assert answer.headers["content-type"] == "image/gif"
    assert answer.headers["cache-control"].endswith("immutable")
    assert client.post(f"{run}/film", asked | {"format": "gif"}).status == 200  # kept
    (tmp_path / "score.json").write_text(json.dumps(asked["score"]))
    played = ["play", str(tmp_path / "score.json"), str(next(runs.iterdir())), "--trust"]
    assert main([*played, "--out", str(tmp_path / "film.gif")]) == 0
    assert (tmp_path / "film.gif").read_bytes() == answer.body


def test_a_skill_is_compared_with_its_dream(client: Client) -> None:
    run = f"/api/runs/{client.run()}"
    result = client.done(f"{run}/compare", {"skill": 1, "steps": 15})["result"]
    assert len(result["error"]) == len(result["lazy"]) == len(result["real"]["path"]) == 16
    film = client.settled(result["real"]["films"])
    assert (film.status, film.headers["content-type"]) == (200, "video/mp4")
    assert client.settled(result["dream"]["film"]).status == 404
    assert client.get(result["real"]["films"].replace("real", "film")).status == 404


def test_the_controls_act_dream_and_rank_in_place_of_the_trained_agent(client: Client) -> None:
    run, paths, ranks = f"/api/runs/{client.run()}", {}, {}
    for name in ("trained", "untrained", "random"):
        asked = f"?condition={name}"
        both = client.done(f"{run}/compare{asked}", {"skill": 1, "steps": 8})["result"]
        dreamt = client.done(f"{run}/imagine{asked}", {"score": score((1, 8))})["result"]
        assert dreamt["skills"] == (None if name == "random" else [1] * 8)
        with client.socket(f"{run}/perform") as socket:
            begin = {"type": "start", "score": score((1, 8)), "speed": 0, "condition": name}
            socket.send(json.dumps(begin))
            told = [toy_studio.told(socket, "step") for _ in range(9)]
        assert {one["skill"] for one in told[1:]} == ({None} if name == "random" else {1})
        paths[name] = (both["real"]["path"], both["dream"]["path"], [one["at"] for one in told])
        goal = {"kind": "reward", "name": "predicted"}
        if name == "random":
            assert client.post(f"{run}/prompt{asked}", goal).status == 400
        else:
            ranks[name] = client.done(f"{run}/prompt{asked}", goal)["result"]["ranking"]
    for part in range(3):
        assert len({json.dumps(found[part]) for found in paths.values()}) == 3
    assert ranks["trained"] != ranks["untrained"]
    assert client.post(f"{run}/compare?condition=best", {"skill": 1}).status == 400


def test_skills_are_ranked_by_what_is_asked_for(client: Client) -> None:
    run = f"/api/runs/{client.run()}"
    names = [one["name"] for one in client.get(f"{run}/rewards").json["rewards"]]
    shown = client.get(f"{run}/frames").json["frames"]
    assert names[0] == "predicted" and 0 < len(shown) <= 24
    goals = [{"kind": "frame", "frame": shown[-1]["frame"]}, {"kind": "reward", "name": names[0]}]
    for goal in goals:
        found = client.done(f"{run}/prompt", goal)["result"]
        assert sorted(one["skill"] for one in found["ranking"]) == [0, 1, 2, 3]
        assert found["goal"] == goal
    for wrong in ({"kind": "frame", "frame": 10**9}, {"kind": "reward", "name": "<b>"}):
        job = client.done(f"{run}/prompt", wrong)
        assert job["state"] == "failed" and job["error"]["error"], job


def test_health_grows_with_the_run(client: Client, runs: Path) -> None:
    """Over the watch too, although the last line is not whole yet."""
    run, path = client.run(), next(runs.iterdir()) / "metrics.jsonl"
    before = path.read_bytes()
    found = client.get(f"/api/runs/{run}/health").json
    assert found["x"] == "frames" and found["series"]
    with client.socket(f"/api/runs/{run}/watch") as socket:
        assert toy_studio.told(socket, "health")["reached"] == found["reached"]
        line = json.loads(before.splitlines()[-1]) | {"frames": found["reached"] + 100}
        with path.open("ab") as file:
            file.write(json.dumps(line).encode() + b'\n{"kind": "train", "fra')
        try:
            assert toy_studio.told(socket, "health")["reached"] > found["reached"]
        finally:
            path.write_bytes(before)


def test_a_checkpoint_that_was_replaced_is_told_and_opened_when_asked(tmp_path: Path) -> None:
    folder = toy_runs.pretrain(tmp_path / "run", frames=60)
    with serving(tmp_path, trust=True) as server:
        client = Client(server.address)
        path = f"/api/runs/{client.run()}"
        first = client.get(f"{path}/map").json
        toy_runs.pretrain(folder, frames=120)
        assert client.get(f"{path}/map").json["newer"]
        assert client.post(f"{path}/renew", {}).json["checkpoint"] != first["checkpoint"]
        assert not client.get(f"{path}/map").json["newer"]


def test_the_hit_rate_in_imagination_has_a_point_for_every_checkpoint(tmp_path: Path) -> None:
    folder = toy_runs.pretrain(tmp_path / "run", frames=60)
    asked = {"run": {"folder": str(folder)}, "cache_bytes": 10**6}
    assert "imagined/hit_rate" not in growth.growth_of(asked).series
    curves = []
    for frames in (60, 120):
        toy_runs.pretrain(folder, frames=frames)
        growth.measure_checkpoints(asked)
        curves.append(growth.growth_of(asked).series["imagined/hit_rate"].points)
    assert curves[1][: len(curves[0])] == curves[0]
    assert curves[0][-1][0] == 60 and curves[1][-1][0] == 120
    assert all(0 <= rate <= 1 for _, rate in curves[1])


def test_the_hit_rate_is_measured_for_who_looks_at_the_learning(client: Client) -> None:
    path = f"/api/runs/{client.run()}"
    with client.socket(f"{path}/watch") as socket:
        client.get(f"{path}/health")
        while "imagined/hit_rate" not in (found := toy_studio.told(socket, "health"))["series"]:
            pass
        assert not found["measuring"]


def test_a_run_from_recorded_data_is_imagined_and_not_performed(tmp_path: Path) -> None:
    data, rng = tmp_path / "data", np.random.default_rng(0)
    data.mkdir()
    for number in range(3):
        seen = rng.normal(size=(81, 4)).cumsum(0).astype(np.float32)
        actions = rng.uniform(-1, 1, (81, 2)).astype(np.float32)
        flags = {"reward": np.zeros(81, np.float32), "discount": np.ones(81, np.float32)}
        write_episode(data, number, {"observation": seen, "action": actions, **flags})
    run = ["--data", str(data), "--updates", "5", "--run-dir", str(tmp_path / "runs" / "logs")]
    assert main(["offline", "--preset", "debug", *toy_runs.QUIET, *run]) == 0
    with serving(tmp_path / "runs") as server:
        client = Client(server.address)
        path = f"/api/runs/{client.run()}"
        entry = client.get("/api/runs").json["runs"][0]
        assert not entry["simulates"] and "--env" in entry["why_not"]
        found = client.settled(f"{path}/map").json
        assert found["map"]["imagined"] and found["why_not"], found
        imagined = client.done(f"{path}/imagine", {"score": score((1, 8))})
        assert len(imagined["result"]["path"]) == 9, imagined
        assert client.get(f"{path}/films/trained/0.webp").status == 409
        with client.socket(f"{path}/perform") as socket:
            socket.send(json.dumps({"type": "start", "score": score((0, 3))}))
            assert "--env" in toy_studio.told(socket, "error")["do"]


def test_a_score_is_checked(client: Client) -> None:
    asked = {"score": score((1, 8))}
    assert client.post("/api/score/check", asked).json["moves"] == asked["score"]["moves"]
    wrong = client.post("/api/score/check", {"score": {"moves": [{"skill": 0}]}})
    assert wrong.status == 400 and "steps" in wrong.json["error"]
    start = client.post("/api/score/check", {"score": {**asked["score"], "start": "there"}})
    assert start.json["do"].lower() == "wanted is reset", start.json


@pytest.mark.parametrize("path", ["films/trained/99.webp", "films/trained/-1.webp"])
def test_a_skill_that_there_is_not(client: Client, path: str) -> None:
    assert client.get(f"/api/runs/{client.run()}/{path}").status == 404


def test_choices_are_those_of_a_fine_tuned_agent(client: Client) -> None:
    answer = client.get(f"/api/runs/{client.run()}/choices")
    assert answer.status == 404 and "finetune" in answer.json["do"]


def test_progress_and_changes_come_over_the_watch(client: Client) -> None:
    run = client.run()
    with client.socket(f"/api/runs/{run}/watch") as socket:
        assert toy_studio.told(socket, "run")["id"] == run
        client.get(f"/api/runs/{run}/films/random/2.webp")
        states = []
        while not states or states[-1] not in ("ready", "failed"):
            found = toy_studio.told(socket, "job")
            states.append(found["state"])
        assert states[-1] == "ready"


def test_a_cache_is_written_whole_bounded_and_by_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    cache = Cache(tmp_path, "a" * 64, most=2500)
    for skill in range(4):
        cache.write(f"{name_of('film', 1, {'skill': skill})}.webp", bytes(1000))
        cache.tidy()
    assert len(list(tmp_path.rglob("*.webp"))) == 2
    inside, order = threading.Event(), []

    def hold() -> None:
        with cache.alone(NAME):
            inside.set()
            time.sleep(0.3)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(10)
    with Cache(tmp_path, "a" * 64, most=2500).alone(NAME):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert not list(tmp_path.rglob("*.lock"))


def test_what_others_left_in_the_cache_stays(tmp_path: Path) -> None:
    """Links lead nowhere, and only names that are given here are removed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    kept = outside / f"{NAME}.webp"
    kept.write_bytes(bytes(5000))
    run = tmp_path / "run"
    (run / "studio").mkdir(parents=True)
    (run / "config.json").touch()
    (run / "studio" / ("b" * 16)).symlink_to(outside)
    (run / "studio" / "notes.txt").write_text("mine")
    cache = Cache(run, "b" * 64, most=0)
    cache.tidy()
    assert kept.exists() and (run / "studio" / "notes.txt").exists()
    assert cache.read(f"{NAME}.webp") is None
    with pytest.raises(Exception, match=r"Could not write"):
        cache.write(f"{NAME}.webp", b"")
    assert kept.read_bytes() == bytes(5000)


@pytest.mark.parametrize(
    "files", [["config.json", "studio"], ["state.json"], ["config.json", "pack.json"]]
)
def test_what_is_no_run_or_cannot_be_written_is_cached_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str]
) -> None:
    """Every file of a pack is listed: it is whole as it is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = tmp_path / "run"
    run.mkdir()
    for name in files:
        (run / name).touch()
    Cache(run, "c" * 64, most=10**6).write(f"{NAME}.webp", b"film")
    assert list((tmp_path / "cache").rglob("*.webp"))
    assert sorted(path.name for path in run.iterdir()) == sorted(files)


def test_a_kept_result_that_is_no_result_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    cache = Cache(tmp_path, "d" * 64, most=10**6)
    for content in (b"", b"[", b"[]", b"[" * 100_000, b"\xff", json.dumps("text").encode()):
        cache.write(f"{NAME}.json", content)
        assert cache.read_json(NAME) is None


def test_a_checkpoint_without_hash_of_its_own_names_no_folder(runs: Path, tmp_path: Path) -> None:
    """Whoever can edit a state can write any text in place of the hash."""
    source = checkpoint.latest(next(runs.iterdir()) / "checkpoints")
    assert source is not None
    forged = tmp_path / "forged"
    forged.mkdir()
    state = json.loads((source / "state.json").read_text())
    state["tensors_sha256"] = "../../outside"
    (forged / "state.json").write_text(json.dumps(state))
    identity = identity_of(find_runs(tmp_path)[0])
    assert identity is not None and set(identity) <= set("0123456789abcdef")
