import json

import pytest

from choreo.bench.act import WARM_UP_CALLS, ActBenchConfig, call_times
from choreo.bench.workload import make_agent
from choreo.cli import main
from choreo.presets import apply_preset
from choreo.runtime import choose_device


@pytest.mark.parametrize("obs", ["states", "pixels"])
def test_every_policy_in_every_number_of_environments(
    obs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--preset", "debug", "--obs", obs, "--image-size", "32", "--calls", "5"]
    assert main(["bench", "act", *options, "--environments", "1", "3", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert (cost["preset"], cost["obs"], cost["calls"], cost["device"]) == ("debug", obs, 5, "cpu")
    pairs = [(row["policy"], row["environments"]) for row in cost["rows"]]
    assert pairs == [(policy, n) for policy in ("explore", "skill", "task") for n in (1, 3)]
    for row in cost["rows"]:
        assert 0 < row["ms"] <= row["ms_p95"]
        assert row["actions_per_second"] == pytest.approx(1000 * row["environments"] / row["ms"])


def test_calls_are_counted_after_those_that_warm_up() -> None:
    config = apply_preset(ActBenchConfig(calls=4), "debug")
    agent = make_agent(config, choose_device("cpu"), "pretrain")
    assert len(call_times(agent, config, "skill", 2)) == WARM_UP_CALLS + 4


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--environments", "0"], "--environments is 0; wanted is at least 1"),
        (["--calls", "0"], "--calls is 0"),
        (["--image-size", "50"], "wanted is one of 32, 64, 128"),
        (["--training.batch", "0"], "--training.batch is 0"),
        (["--action-size", "0"], "--action-size is 0"),
    ],
)
def test_what_cannot_be_measured(
    option: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "act", "--preset", "debug", *option]) == 2
    assert words in capsys.readouterr().err
