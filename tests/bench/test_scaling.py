import json
from pathlib import Path

import pytest

from choreo.bench.scaling import ScalingBenchConfig, slope, values_of, with_size
from choreo.cli import main
from choreo.presets import apply_preset

CONFIG = apply_preset(ScalingBenchConfig(), "debug")  # 4 sequences of 8 steps, horizon 3, 4 codes


def test_every_size_alone_and_how_the_cost_grows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "growth.png"
    options = ["--preset", "debug", "--updates", "1", "--factors", "0.5", "1", "--plot"]
    assert main(["bench", "scaling", *options, str(picture), "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert [growth["size"] for growth in cost["growths"]] == [
        "batch", "length", "horizon", "starts", "codes"
    ]  # fmt: skip
    middle = [growth["points"][-1] for growth in cost["growths"]]
    assert len({point["ms_per_update"] for point in middle}) == 1, "the preset is measured once"
    for growth in cost["growths"]:
        small, preset = growth["points"]
        changed = {k for k in small["sizes"] if small["sizes"][k] != cost["sizes"][k]}
        assert growth["size"] in changed
        assert preset["sizes"] == cost["sizes"]
        parts = {"world_model", "exploration", "codebook", "skills", "entropy_reward"}
        assert growth["exponents"].keys() == parts | {"update", "flops"}
        assert growth["exponents"]["flops"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_exponent_of_a_power_law() -> None:
    assert slope([2, 4, 8], [3 * 2**1.5, 3 * 4**1.5, 3 * 8**1.5]) == pytest.approx(1.5)
    assert slope([2, 4, 8], [5, 5, 5]) == pytest.approx(0)
    assert slope([2], [5]) is None


def test_values_stay_possible() -> None:
    assert values_of(CONFIG, "batch") == [1, 2, 4, 8]
    assert values_of(CONFIG, "horizon") == [2, 3, 6]
    assert values_of(CONFIG, "starts") == [8, 16, 32], "64 are more than the batch has"
    assert values_of(CONFIG, "length") == [2, 4, 8, 16]


def test_one_size_is_changed() -> None:
    changed = with_size(CONFIG, "starts", 16)
    assert changed.sizes == CONFIG.sizes | {"starts": 16, "particles": 64}
    assert with_size(CONFIG, "codes", 9).sizes == CONFIG.sizes | {"codes": 9}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--factors", "0", "1"], "wanted are numbers above 0"),
        (["--factors", "2", "--vary", "starts"], "a factor of 1 or less"),
        (["--updates", "0"], "--updates is 0"),
        (["--plot", "nowhere/at/all.png"], "there is no folder"),
    ],
)
def test_what_cannot_be_measured(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "scaling", "--preset", "debug", *options]) == 2
    assert words in capsys.readouterr().err
