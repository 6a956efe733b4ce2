"""What the studio costs: time to the first map, live frames a second, memory, many clients.

    python benchmarks/studio.py RUNS [--minutes 5] [--clients 20] [--seconds 10]

RUNS is a folder of runs, one for each domain to be measured. Prints a table in Markdown.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from websockets.sync.client import connect

PAGE = 4096


class Client:
    """One browser."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.address, self.host = address, parts.netloc
        self.headers = {"Origin": f"http://{self.host}"}
        cookie = self._ask("GET", f"/?{parts.query}")[2]["set-cookie"]
        self.headers["Cookie"] = cookie.partition(";")[0]

    def _ask(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection(self.host, timeout=600)
        connection.request(method, path, body, {**self.headers, "Content-Type": "application/json"})
        answer = connection.getresponse()
        found = answer.status, answer.read(), answer.headers
        connection.close()
        return found

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        return self._ask("GET", path)[:2]

    def json(self, path: str) -> dict:
        return json.loads(self.get(path)[1])

    def post(self, path: str, body: dict) -> dict:
        return json.loads(self._ask("POST", path, json.dumps(body).encode())[1])

    def map(self, run: str) -> float:
        """Seconds until the map of a run is there."""
        began = time.monotonic()
        while (state := self.json(f"/api/runs/{run}/map")["state"]) != "ready":
            if state == "failed":
                raise SystemExit(f"no map of {run}")
            time.sleep(0.1)
        return time.monotonic() - began

    def play(
        self, run: str, seconds: float, speed: float, size: int = 256, pid: int | None = None
    ) -> dict[str, float]:
        """Play one skill after the other: rates of steps and frames, and until the first step."""
        uri = f"ws://{self.host}/api/runs/{run}/perform"
        moves = [{"skill": skill % 2, "steps": 50} for skill in range(1000)]
        asked = {"type": "start", "score": {"moves": moves}, "speed": speed, "size": size}
        with connect(uri, additional_headers=self.headers, open_timeout=600) as socket:
            began = time.monotonic()
            socket.send(json.dumps(asked))
            first, steps, frames, before = 0.0, 0, 0, {}
            while not first or time.monotonic() - first < seconds:
                message = socket.recv(timeout=600)
                if isinstance(message, bytes):
                    frames += 1
                    continue
                kind = json.loads(message)["type"]
                if kind == "error":
                    return {"refused": 1.0}
                if kind == "ended":
                    socket.send(json.dumps(asked))
                if kind == "step":
                    if not first:
                        first, before = time.monotonic(), processor(pid) if pid else {}
                    steps += 1
            taken = time.monotonic() - first
            after = processor(pid) if pid else {}
            used = sum(after[one] - before[one] for one in after.keys() & before.keys())
        rates = {"steps": steps / taken, "frames": frames / taken}
        return {"start": first - began, "ms": 1000 * used / max(frames, 1), **rates}


def open_studio(folder: Path, performers: int) -> tuple[subprocess.Popen[str], Client, float]:
    """A server, a client, and the seconds until the list of runs was there."""
    began = time.monotonic()
    command = [sys.executable, "-m", "choreo", "studio", str(folder), "--no-open", "--port", "0"]
    program = subprocess.Popen(
        [*command, "--performers", str(performers)], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    client = Client(program.stdout.readline().split()[1])
    client.json("/api/runs")
    return program, client, time.monotonic() - began


def processes(pid: int) -> list[int]:
    """A process and all below it."""
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        for tasks in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            with suppress(OSError):
                left += [int(child) for child in tasks.read_text().split()]
    return found


def memory(pid: int) -> float:
    """Gigabytes of a process and all below it, shared pages once."""
    total = 0.0
    for one in processes(pid):
        try:
            rows = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        total += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 2**20
    return total


def processor(pid: int) -> dict[int, float]:
    """Seconds of processor time that a process and each below it have taken."""
    found = {}
    for one in processes(pid):
        with suppress(OSError):  # it has just ended
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            found[one] = ticks / os.sysconf("SC_CLK_TCK")
    return found


def crowd(client: Client, run: str, clients: int, seconds: float) -> str:
    """Many clients that watch, look at the map and play, all at once."""
    found: list[dict[str, float]] = []
    waits: list[float] = []

    def one() -> None:
        began = time.monotonic()
        client.json("/api/runs")
        client.json(f"/api/runs/{run}/map")
        waits.append(time.monotonic() - began)
        found.append(client.play(run, seconds, speed=1.0))

    threads = [threading.Thread(target=one) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    played = [one["frames"] for one in found if "frames" in one]
    refused = sum("refused" in one for one in found)
    rates = " ".join(f"{rate:.0f}" for rate in played)
    return (
        f"{len(played)} played ({rates} frames/s), {refused} were refused with a sentence; "
        f"list and map after {max(waits):.1f} s at most"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| run | first map, cold (s) | warm (s) | to the first step (s) | frames/s, own pace |"
          " frames/s, as fast as it goes | processor time per frame (ms) |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    program, client, opened = open_studio(options.runs, 4)
    runs = client.json("/api/runs")["runs"]
    try:
        for run in runs:
            cold = client.map(run["id"])
            pace = client.play(run["id"], options.seconds, 1.0)
            fast = client.play(run["id"], options.seconds, 0.0, pid=program.pid)
            again, other, seconds = open_studio(options.runs, 1)
            warm = seconds + other.map(run["id"])
            again.terminate()
            again.wait()
            print(
                f"| {run['title']} | {cold:.1f} | {warm:.1f} | {pace['start']:.1f} |"
                f" {pace['frames']:.0f} | {fast['frames']:.0f} | {fast['ms']:.1f} |",
                flush=True,
            )
        print(f"\nopened after {opened:.1f} s; load {os.getloadavg()[0]:.1f}")
        print(f"memory after the table: {memory(program.pid):.2f} GB", flush=True)
        first = runs[0]["id"]
        print(
            f"{options.clients} clients: {crowd(client, first, options.clients, options.seconds)}"
        )
        began, rounds, sizes = time.monotonic(), 0, []
        while time.monotonic() - began < options.minutes * 60:
            client.play(runs[rounds % len(runs)]["id"], 5.0, 0.0)
            rounds += 1
            sizes.append(memory(program.pid))
        middle = sizes[len(sizes) // 2]
        print(f"memory over {rounds} performances: {sizes[0]:.2f} at first, {middle:.2f} in the"
              f" middle, {sizes[-1]:.2f} GB at the end")  # fmt: skip
    finally:
        program.terminate()
        print(f"ended with exit code {program.wait()}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
