"""A toy run of the parts a real one is resumed from, killed again and again."""

import subprocess
import sys
from pathlib import Path

# Runs once without interruption, then in child processes that are killed after a random while and
# started again, until one gets to the end.
KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
import torch
from choreo.record import Logger, Streams, latest, list_checkpoints, load, load_state
from choreo.record import open_run, save
from choreo.replay import Replay, SequenceSampler

torch.set_num_threads(1)
STEPS = 400
KEYS = {"observation": ((2,), "float32"), "is_first": ((), "bool")}

def collect_garbage(place, replay):
    kept = list_checkpoints(place.checkpoints)
    replay.collect_garbage([load_state(path)["replay"] for path in kept])

def run(folder, pause, last=STEPS):
    place = open_run(folder, {"seed": 3})
    streams = Streams(3)
    replay = Replay(place.replay, KEYS, 2, max_bytes=2 * 12 * 100, segment_steps=16)
    sampler = SequenceSampler(replay, 4, 10, streams.numpy("sampler"))
    parts = {"replay": replay, "streams": streams}
    logger = Logger(folder, tensorboard=False)
    weight, first = torch.zeros(2), 0
    path = latest(place.checkpoints)
    if path is None:
        logger.restore(None)
    else:
        tensors, state = load(path)
        weight, first = tensors["weight"], state["step"]
        logger.restore(state["logger"])
        for name, part in parts.items():
            part.restore(state[name])
        collect_garbage(place, replay)  # a kill may have come in the middle of it
    for step in range(first + 1, last + 1):
        noise = streams.numpy("action").standard_normal((2, 2)).astype(np.float32)
        replay.append({"observation": noise, "is_first": np.full(2, step % 7 == 0)})
        if step > 40 and step % 3 == 0:
            batch = torch.from_numpy(sampler.sample()["observation"])
            weight = weight * 0.9 + batch.mean((0, 1))
            weight = weight + 0.1 * torch.randn(2, generator=streams.torch("update"))
            logger.write("train", {"step": step}, {"weight": weight[0]})
        if step % 23 == 0 or step == last:
            replay.flush()
            state = {name: part.state() for name, part in parts.items()}
            state |= {"step": step, "logger": logger.state()}
            save(place.checkpoints, f"step_{step}", {"weight": weight}, state, keep=2)
            collect_garbage(place, replay)
        time.sleep(pause)
    logger.close()

def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

root = Path(sys.argv[1])
run(root / "whole", 0.0)
chance, kills = random.Random(0), 0
while True:
    child = os.fork()
    if child == 0:
        run(root / "killed", 0.001)
        os._exit(0)
    if kills < 12:
        time.sleep(chance.uniform(0.02, 0.25))
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        break
    assert status == -signal.SIGKILL, status
    kills += 1
for name in ("whole", "killed"):  # a last kill may have come in the middle of tidying up
    run(root / name, 0.0, STEPS + 40)
whole, killed = content(root / "whole"), content(root / "killed")
assert whole.keys() == killed.keys(), whole.keys() ^ killed.keys()
different = [name for name in whole if whole[name] != killed[name]]
assert not different, different
assert any(name.startswith("replay/stream_001") for name in whole)
print(kills)
"""


def test_a_killed_run_ends_bitwise_as_an_uninterrupted_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 3
