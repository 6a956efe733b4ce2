"""Memory of the studio over an hour in which people use it.

    python benchmarks/studio_hour.py RUNS [--minutes 60] [--people 2] [--out memory.csv]

RUNS is a folder of runs. Every person goes from run to run: opens the page, looks at the map and at
films, compares skill and dream, imagines, prompts, performs with pauses and switches of skill, and
leaves, now and then in the middle. A row of the table a minute, written as it comes; at the end a
line over the second half, by which growth that does not stop would show.
"""

import argparse
import csv
import json
import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from studio import Client, open_studio, processes
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

STATIC = Path(__file__).parents[1] / "choreo/studio/static"
ENDS = ("ended", "error")
CONDITIONS = ("trained", "trained", "untrained", "random")


class Person:
    """Somebody who uses the page, at the pace of somebody who looks at what it shows."""

    def __init__(self, address: str, seed: int, until: float, done: Counter[str]) -> None:
        self.address, self.until, self.done = address, until, done
        self.draw = random.Random(seed)
        self.client = Client(address)

    def use(self) -> None:
        """Visit runs until the time is over."""
        while time.monotonic() < self.until:
            self.client = Client(self.address)
            run = self.draw.choice(self.client.json("/api/runs")["runs"])
            try:
                self.visit(run)
            except (OSError, TimeoutError, ConnectionClosed) as error:
                self.done[f"failed: {type(error).__name__}"] += 1

    def visit(self, run: dict[str, Any]) -> None:
        """Open the page on a run and do a few of the things that can be done there."""
        for file in [*STATIC.rglob("*.mjs"), *STATIC.rglob("*.css")]:
            self.client.get(f"/static/{file.relative_to(STATIC)}")
        uri = f"ws://{self.client.host}/api/runs/{run['id']}/watch"
        with connect(uri, additional_headers=self.client.headers) as watch:
            drained = threading.Thread(target=self.drain, args=(watch,))
            drained.start()
            self.client.map(run["id"])
            things = (self.films, self.compare, self.imagine, self.prompt, self.perform, self.film)
            for thing in self.draw.choices(things, weights=(3, 2, 2, 3, 4, 1), k=6):
                if time.monotonic() > self.until:
                    break
                thing(run)
                self.done[thing.__name__] += 1
                time.sleep(self.draw.uniform(2, 8))
        drained.join()
        self.done["visit"] += 1

    @staticmethod
    def drain(socket: Any) -> None:
        """Take what the server tells until it ends."""
        with suppress(ConnectionClosed):
            for _ in socket:
                pass

    def job(self, path: str, body: dict[str, Any]) -> Any:
        """Have something computed and wait for it."""
        job = self.client.post(path, body)
        while job.get("state") in ("waiting", "working"):
            time.sleep(0.3)
            job = self.client.json(f"/api/jobs/{job['job']}")
        if job.get("state") != "ready":
            self.done[f"refused: {(job.get('error') or job)}"[:90]] += 1
        return job.get("result") or {}

    def fetch(self, path: str | None) -> None:
        """Get a film, as soon as it is made."""
        while path and self.client.get(path)[0] == 202 and time.monotonic() < self.until:
            time.sleep(0.5)

    def skill(self, run: dict[str, Any]) -> int:
        return self.draw.randrange(run["skills"])

    def score(self, run: dict[str, Any], moves: int) -> dict[str, Any]:
        steps = [{"skill": self.skill(run), "steps": 25} for _ in range(moves)]
        return {"moves": steps, "seed": self.draw.randrange(100)}

    def films(self, run: dict[str, Any]) -> None:
        condition = self.draw.choice(CONDITIONS)
        for skill in range(min(run["skills"], 6)):
            self.fetch(f"/api/runs/{run['id']}/films/{condition}/{skill}.webp")

    def compare(self, run: dict[str, Any]) -> None:
        asked = {"skill": self.skill(run), "seed": self.draw.randrange(100), "steps": 100}
        found = self.job(f"/api/runs/{run['id']}/compare", asked)
        if found:
            self.fetch(found["real"]["films"])
            self.fetch(found["dream"]["film"])

    def imagine(self, run: dict[str, Any]) -> None:
        found = self.job(f"/api/runs/{run['id']}/imagine", {"score": self.score(run, 4)})
        self.fetch(found.get("film"))

    def film(self, run: dict[str, Any]) -> None:
        asked = {"score": self.score(run, 4), "format": self.draw.choice(("mp4", "gif"))}
        self.fetch(self.job(f"/api/runs/{run['id']}/film", asked).get("url"))

    def prompt(self, run: dict[str, Any]) -> None:
        place = {"kind": "point", "x": self.draw.uniform(-1, 1), "y": self.draw.uniform(-1, 1)}
        frames = self.client.json(f"/api/runs/{run['id']}/frames")["frames"]
        goals = [place, {"kind": "reward", "name": "predicted"}]
        goals += [{"kind": "frame", "frame": one["frame"]} for one in frames[:8]]
        self.job(f"/api/runs/{run['id']}/prompt", self.draw.choice(goals))

    def perform(self, run: dict[str, Any]) -> None:
        """Play a score, switch, pause and go on; leave by the door or through the window."""
        uri = f"ws://{self.client.host}/api/runs/{run['id']}/perform"
        with connect(uri, additional_headers=self.client.headers, open_timeout=60) as socket:
            asked = {"type": "start", "score": self.score(run, 40), "speed": 1.0, "size": 384}
            socket.send(json.dumps(asked))
            ends, acts = time.monotonic() + self.draw.uniform(5, 30), 0.0
            while time.monotonic() < ends:
                message = socket.recv(timeout=60)
                if isinstance(message, str) and json.loads(message)["type"] in ENDS:
                    return
                if time.monotonic() > acts:
                    acts = time.monotonic() + self.draw.uniform(1, 4)
                    self.act(socket, run)
            if self.draw.random() < 0.5:
                socket.send(json.dumps({"type": "stop"}))

    def act(self, socket: Any, run: dict[str, Any]) -> None:
        if self.draw.random() < 0.8:
            socket.send(json.dumps({"type": "skill", "skill": self.skill(run)}))
            return
        socket.send(json.dumps({"type": "pause"}))
        time.sleep(self.draw.uniform(1, 8))
        socket.send(json.dumps({"type": "resume"}))


def resident(pid: int) -> float:
    """Megabytes of one process, of pages that it shares only its part."""
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    return sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024


def watched(pid: int, until: float, done: Counter[str], out: Path) -> list[float]:
    """Write a row a minute; gives the totals."""
    began, totals = time.monotonic(), []
    with out.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("minute", "total_mb", "server_mb", "workers", "largest_mb", "load", "did"))
        while time.monotonic() < until:
            time.sleep(60)
            sizes = {one: resident(one) for one in processes(pid)}
            server, others = sizes.pop(pid), sorted(sizes.values())
            totals.append(server + sum(others))
            row = (totals[-1], server, len(others), others[-1] if others else 0.0)
            minute = (time.monotonic() - began) / 60
            rounded = [round(value, 1) for value in (minute, *row, os.getloadavg()[0])]
            table.writerow([*rounded, sum(n for name, n in done.items() if ":" not in name)])
            file.flush()
    return totals


def main() -> None:
    """Use the studio, watch its memory and print how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("memory.csv"))
    options = parser.parse_args()
    program, client, _ = open_studio(options.runs, 4)
    until, done = time.monotonic() + 60 * options.minutes, Counter[str]()
    people = [Person(client.address, seed, until, done) for seed in range(options.people)]
    threads = [threading.Thread(target=person.use, daemon=True) for person in people]
    try:
        for thread in threads:
            thread.start()
        totals = watched(program.pid, until, done, options.out)
        half = np.array(totals[len(totals) // 2 :])
        slope = np.polyfit(np.arange(len(half)), half, 1)[0] if len(half) > 1 else 0.0
        print(f"{totals[0]:.0f} MB at first, {max(totals):.0f} MB at most, {totals[-1]:.0f} MB at "
              f"the end; over the second half {60 * slope:+.0f} MB an hour")  # fmt: skip
        print(dict(done))
    finally:
        program.terminate()
        print(f"ended with exit code {program.wait()}")


if __name__ == "__main__":
    main()
