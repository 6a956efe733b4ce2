"""Live performances: their order, their bounds, and simulators that hang or die."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_runs
import toy_studio
from toy_studio import Client, score, serving, told
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from choreo.studio.server import Server


def start(socket: ClientConnection, *moves: tuple[int, int], **more: object) -> None:
    socket.send(json.dumps({"type": "start", "score": score(*moves), "speed": 0, **more}))


def steps_of(socket: ClientConnection) -> tuple[list[dict], list[bytes], dict]:
    """All steps of a performance, its pictures, and the message that ends it."""
    steps, frames = [], []
    while True:
        message = socket.recv(timeout=toy_studio.WAIT)
        if isinstance(message, bytes):
            assert not steps or steps[-1]["frame"]
            frames.append(message)
            continue
        found = json.loads(message)
        if found["type"] == "step":
            steps.append(found)
        elif found["type"] != "ready":
            return steps, frames, found


def test_a_score_is_played_step_by_step_and_again_alike(client: Client) -> None:
    with client.socket(f"/api/runs/{client.run()}/perform") as socket:
        played = []
        for _ in range(2):
            start(socket, (1, 6), (2, 5))
            steps, frames, ended = steps_of(socket)
            assert [one["step"] for one in steps] == list(range(12))
            assert [one["skill"] for one in steps[1:]] == [1] * 6 + [2] * 5
            assert [one["move"] for one in steps[1:]] == [0] * 6 + [1] * 5
            assert (ended["type"], ended["steps"]) == ("ended", 11)
            assert len(frames) == sum(one["frame"] for one in steps) > 0
            assert all(frame.startswith(b"\xff\xd8") for frame in frames)
            played.append([(one["reward"], one["at"]) for one in steps])
        assert played[0] == played[1]


def test_another_skill_acts_from_the_message_on(client: Client) -> None:
    with client.socket(f"/api/runs/{client.run()}/perform") as socket:
        start(socket, (0, 20), speed=0.5)
        while told(socket, "step")["step"] < 3:
            pass
        socket.send(json.dumps({"type": "skill", "skill": 3}))
        steps, _, ended = steps_of(socket)
        skills = [one["skill"] for one in steps]
        assert skills == sorted(skills) and skills[-1] == 3 and ended["type"] == "ended"


def test_pause_holds_and_stop_ends(client: Client) -> None:
    with client.socket(f"/api/runs/{client.run()}/perform") as socket:
        start(socket, (0, 20), speed=0.5)
        told(socket, "step")
        socket.send(json.dumps({"type": "pause"}))
        time.sleep(0.3)
        before = time.monotonic()
        while True:  # what was under way
            try:
                socket.recv(timeout=0.5)
            except TimeoutError:
                break
        assert time.monotonic() - before < 3
        socket.send(json.dumps({"type": "resume"}))
        told(socket, "step")
        socket.send(json.dumps({"type": "stop"}))
        assert told(socket, "ended")["steps"] < 20


def test_a_client_that_vanishes_leaves_its_simulator_for_the_next(
    client: Client, server: Server
) -> None:
    """Whatever was on its way then; no process is started anew."""
    path = f"/api/runs/{client.run()}/perform"
    with client.socket(path) as socket:
        start(socket, (0, 3))
        told(socket, "ended")
    before = given_back(server)
    for _ in range(3):
        with client.socket(path) as socket:
            start(socket, (0, 20))
            told(socket, "step")
            socket.close_socket()  # without a word, and with messages that nobody took
        assert given_back(server) == before
        with client.socket(path) as socket:
            start(socket, (0, 3))
            assert told(socket, "ended", "error")["type"] == "ended"
        assert given_back(server) == before


def given_back(server: Server) -> set[int]:
    """The processes of the stage, once none of them plays."""
    live, deadline = server.studio.live, time.monotonic() + toy_studio.WAIT
    while len(live._free) < len(live.workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(live._free) == len(live.workers)
    return {worker.process.pid for worker in live.workers}


def test_pictures_are_dropped_for_who_takes_none_and_steps_are_not() -> None:
    """The hand of a performance whose client has taken nothing yet."""
    from choreo.studio.live import AHEAD, FRAMES, Hand

    class Silent:
        sent = 0

        def send(self, *_: object) -> None:
            Silent.sent += 1

        def waits(self, seconds: float = 0.0) -> bool:
            return False

    hand = Hand(Silent(), 0.0, 1.0)  # pyright: ignore
    hand.size = 64
    while hand.sent - hand.taken < AHEAD:
        hand.await_turn()
        hand.send({}, b"" if hand.size_now() is None else b"jpeg")
    assert len(hand._frames) == FRAMES and Silent.sent == AHEAD
    hand._take({"type": "taken", "count": 3})
    assert hand.size_now() == 64 and len(hand._frames) == FRAMES - 3


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("troubled")
    os.environ["TOY_TROUBLE"] = str(folder / "trouble")
    toy_runs.pretrain(folder / "hangs", env="toy_hanging:hangs", frames=60)
    toy_runs.pretrain(folder / "dies", env="toy_hanging:dies", frames=60)
    return folder


def test_a_simulator_that_hangs_or_dies_takes_nothing_along(troubled: Path) -> None:
    with serving(troubled, trust=True, live_patience=2.0, performers=1) as server:
        client, trouble = Client(server.address), troubled / "trouble"
        for title, why in (("hangs", "no answer within 2 s"), ("dies", "signal 9")):
            with client.socket(f"/api/runs/{client.run(title)}/perform") as socket:
                trouble.touch()
                start(socket, (0, 30))
                found = told(socket, "error", "ended")
                assert why in found["error"] and "next start" in found["do"], found
                assert client.get("/api/runs").status == 200
                trouble.unlink()
                start(socket, (0, 30))
                assert told(socket, "error", "ended")["steps"] == 30


def test_too_many_at_once_are_refused_and_a_place_that_was_left_is_free(troubled: Path) -> None:
    with serving(troubled, trust=True, performers=1) as server:
        client = Client(server.address)
        path = f"/api/runs/{client.run('hangs')}/perform"
        with client.socket(path) as first:
            start(first, (0, 30), speed=0.01)
            told(first, "step")
            with client.socket(path) as second:
                start(second, (0, 30))
                found = told(second, "error")
                assert "--performers" in found["do"]
                with pytest.raises(ConnectionClosed):
                    second.recv(timeout=toy_studio.WAIT)
                assert second.close_code == 1013
        with client.socket(path) as third:  # the first one vanished in the middle
            for _ in range(100):
                start(third, (0, 3))
                if told(third, "error", "ended")["type"] == "ended":
                    break
                time.sleep(0.1)
                third.close()
                third = client.socket(path)
            else:
                raise AssertionError("the place was not free again")
            third.close()


def studio(folder: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """The command in a process of its own, and the address that it prints."""
    path = os.pathsep.join([str(toy_runs.TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = subprocess.Popen(
        [sys.executable, "-m", "choreo", "studio", str(folder), "--no-open", *options],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line.startswith("Studio: http://127.0.0.1:"), program.communicate()
    return program, line.removeprefix("Studio: ").strip()


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def gone(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 75)]
)
def test_workers_end_with_the_server_however_it_ends(
    troubled: Path, number: int, code: int
) -> None:
    program, address = studio(troubled, "--port", "0", "--trust")
    try:
        client = Client(address)
        with client.socket(f"/api/runs/{client.run('hangs')}/perform") as socket:
            start(socket, (0, 30), speed=0.01)
            told(socket, "step")
            workers = children(program.pid)
            assert workers
            program.send_signal(number)
            _, said = program.communicate(timeout=20)
            assert program.returncode == code
            assert "Traceback" not in said and "ERROR" not in said, said
            assert gone(workers, 10)
    finally:
        program.kill()
        program.wait()
