"""The runner on a Ray cluster: on a toy of Ray, and on a real one where that is installed."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from toy_runs import frames_of
from toy_specs import STAND_IN, TESTS, start, table, until, write

from choreo.cli import main
from choreo.sweep import cluster

NO_RAY = importlib.util.find_spec("ray") is None
real = pytest.mark.skipif(NO_RAY, reason="Ray is not installed: pip install 'choreo[ray]'")


class ToyRay(types.ModuleType):
    """Runs a task when it is asked for; tasks named in `lost` die with their node, each once."""

    def __init__(self, lost: tuple[str, ...] = ()) -> None:
        super().__init__("ray")
        errors = types.ModuleType("ray.exceptions")
        for name in ("RayTaskError", "TaskCancelledError", "WorkerCrashedError"):
            errors.__dict__[name] = type(name, (_RayError,), {})
        errors.__dict__["RayError"] = _RayError
        self.__dict__.update(exceptions=errors, lost=[*lost], asked=[], options={})

    def init(self, **options: Any) -> None:
        self.options.update(options)

    def shutdown(self) -> None:
        self.asked.append("shutdown")

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0, "GPU": 1.0}

    def remote(self, **needs: Any) -> Any:
        self.options.update(needs)
        return lambda function: _ToyTask(self, function)

    def wait(self, refs: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return refs[:1], refs[1:]

    def get(self, ref: tuple[str, Any]) -> Any:
        name, run = ref
        self.asked.append(name)
        if name in self.lost:
            self.lost.remove(name)
            raise self.exceptions.WorkerCrashedError("gone")
        try:
            return run()
        except Exception as error:
            failed = self.exceptions.RayTaskError(str(error))
            failed.cause = error
            raise failed from error

    def cancel(self, ref: Any, force: bool) -> None:
        self.asked.append(f"cancel {ref[0]}")


class _RayError(Exception):
    cause: Exception


class _ToyTask:
    def __init__(self, ray: ToyRay, function: Any, name: str = "") -> None:
        self._ray, self._function, self._name = ray, function, name

    def options(self, name: str) -> "_ToyTask":
        return _ToyTask(self._ray, self._function, name)

    def remote(self, *arguments: Any) -> tuple[str, Any]:
        return self._name, lambda: self._function(*arguments)


def sweep(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ray: ToyRay, *more: str, task: str = "toy:point"
) -> int:
    """A sweep on a toy of Ray, whose cells the stand-in does."""
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", STAND_IN["PYTHONPATH"])
    data = table(tasks={"toy:silent": [task]})
    return main(["sweep", str(write(folder / "toy.toml", data)), "--dir", "s", "--ray", *more])


def test_cells_that_die_with_their_node_are_done_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = ("pretrain/toy_silent-s0", "finetune/toy_point-skills-s0")
    ray = ToyRay(lost)
    assert sweep(tmp_path, monkeypatch, ray, "local", "--per-device", "4") == 0
    assert len(list(tmp_path.glob("s/*/*/done.json"))) == 5
    assert [ray.asked.count(name) for name in lost] == [2, 2]
    assert ray.options["num_gpus"] == 0.25 and ray.options["max_retries"] == 0
    assert ray.asked[-1] == "shutdown" and not Path(ray.options["_temp_dir"]).exists()


def test_a_cell_whose_nodes_always_die_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = ToyRay(("pretrain/toy_silent-s0",) * 9)
    assert sweep(tmp_path, monkeypatch, ray, "local") == 1
    assert "lost with its node (WorkerCrashedError) 3 times" in capsys.readouterr().out
    assert ray.options["num_gpus"] == 1.0, "a whole one where there are some"


def test_a_full_disk_on_a_node_stops_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(tmp_path, monkeypatch, ToyRay(), "local", task="toy:full") == 74
    assert "Could not write it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nearby", "wanted local, auto or HOST:PORT"),
        ("127.0.0.1:99999", "nobody answers there"),
        ("127.0.0.1:PORT", "nobody answers there"),
        ("SILENT", "no Ray cluster answers within" if not NO_RAY else "No module named 'ray'"),
    ],
)
def test_an_address_that_does_not_answer(
    address: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cluster, "ANSWER", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        host, port = silent.getsockname()
        if address != "SILENT":
            silent.close()
        address = address.replace("PORT", str(port)).replace("SILENT", f"{host}:{port}")
        assert sweep(tmp_path, monkeypatch, ToyRay(), address) == 2
    said = capsys.readouterr().err
    assert words in said and "ray" in said
    assert not list(tmp_path.glob("s/*/*/lock*"))


@real
@pytest.mark.slow  # three raylets, ten processes
def test_a_node_that_dies_under_work(tmp_path: Path) -> None:
    """Two nodes of two CPUs and four cells: two of them lose their node and go on elsewhere."""
    data = table(tasks={"toy_envs:point": []}, seeds=[0, 1, 2, 3])
    data["stage"] = {"pretrain": data["stage"]["pretrain"]}
    quiet = {"frames": 1500, "training.time-limit": 20, "logging.tensorboard": False}
    data["stage"]["pretrain"]["options"] = quiet
    path = write(tmp_path / "toy.toml", data)
    runs = [f"pretrain/toy_envs_point-s{number}" for number in range(4)]
    with cluster_of_two() as nodes:
        assert nodes.stdin is not None and nodes.stdout is not None
        address = nodes.stdout.readline().strip()
        with start("sweep", path, "--dir", "s", "--ray", address, folder=tmp_path, A="b") as sweep:
            until(lambda: all(frames_of(tmp_path / "s" / run / "run") > 50 for run in runs), 300)
            nodes.stdin.write("kill\n")
            nodes.stdin.flush()
            said = sweep.communicate(timeout=400)[0]
        nodes.stdin.close()
    assert sweep.returncode == 0 and "4 of 4 cells done" in said
    done = [json.loads((tmp_path / "s" / run / "done.json").read_text()) for run in runs]
    assert sorted(entry["attempts"] for entry in done) == [1, 1, 2, 2]


def cluster_of_two() -> subprocess.Popen[str]:
    """A process that has a cluster, and tells where."""
    return subprocess.Popen(
        [sys.executable, str(TESTS / "sweep" / "ray_nodes.py")],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
