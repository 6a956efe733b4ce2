import json

import pytest

from choreo import runtime
from choreo.bench import throughput
from choreo.cli import main


def test_one_process_and_two_at_the_same_time(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--preset", "debug", "--processes", "1", "2", "--seconds", "0.1", "--json"]
    assert main(["bench", "throughput", *options, "--device", "cpu"]) == 0
    rates = json.loads(capsys.readouterr().out)
    assert (rates["phase"], rates["device"], rates["threads"]) == ("finetune", "cpu", 1)
    assert [row["processes"] for row in rates["rows"]] == [1, 2]
    alone = rates["rows"][0]["updates_per_second"]
    for row in rates["rows"]:
        each = row["updates_per_second_each"]
        assert len(each) == row["processes"] and min(each) > 0
        assert row["updates_per_second"] == pytest.approx(sum(each))
        assert row["speedup"] == pytest.approx(sum(each) / alone)
        assert 0.05 * row["processes"] < row["memory_gb"] < 10 * row["processes"]
        assert row["device_memory_gb"] is None


@pytest.mark.parametrize(
    ("options", "threads"), [([], 1), (["--preset", "cpu"], 1), (["--threads", "99"], 3)]
)
def test_processes_have_a_thread_each_unless_told_otherwise(
    options: list[str],
    threads: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    share = throughput.Share(updates=1, seconds=1.0, memory_gb=1.0, device_memory_gb=None)
    monkeypatch.setattr(throughput, "together", lambda measure, arguments: [share])
    monkeypatch.setattr(runtime, "usable_cores", lambda: 3)
    assert main(["bench", "throughput", "--processes", "1", "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["threads"] == threads


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--processes", "0"], "--processes is 0; wanted is at least 1"),
        (["--seconds", "0"], "--seconds 0.0"),
        (["--imagination.horizon", "1"], "--imagination.horizon is 1"),
    ],
)
def test_what_cannot_be_measured(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "throughput", "--preset", "debug", *options]) == 2
    assert words in capsys.readouterr().err
