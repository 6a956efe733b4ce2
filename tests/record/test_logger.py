import json
import math
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from choreo.errors import CheckpointError, StorageError
from choreo.record import Logger


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_write_is_one_line(tmp_path: Path) -> None:
    with Logger(tmp_path, tensorboard=False) as logger:
        logger.write("train", {"frames": 4, "updates": 2}, {"loss": 0.5, "kl": torch.tensor(2)})  # pyright: ignore[reportArgumentType]
        logger.write("episode", {"frames": 8}, {"return": math.nan, "length": math.inf})
        logger.timing({"frames": 8}, {"seconds": 1.25})
    assert lines(tmp_path / "metrics.jsonl") == [
        {"kind": "train", "frames": 4, "updates": 2, "loss": 0.5, "kl": 2.0},
        {"kind": "episode", "frames": 8, "return": None, "length": None},
    ]
    assert lines(tmp_path / "timing.jsonl") == [{"frames": 8, "seconds": 1.25}]


def test_lines_are_on_file_at_once(tmp_path: Path) -> None:
    with Logger(tmp_path, tensorboard=False) as logger:
        logger.write("train", {"frames": 1}, {"loss": 1.0})
        assert len(lines(tmp_path / "metrics.jsonl")) == 1


def test_restore_cuts_back_and_the_file_is_that_of_an_uninterrupted_run(tmp_path: Path) -> None:
    def write(logger: Logger, start: int, stop: int) -> None:
        for frames in range(start, stop):
            logger.write("train", {"frames": frames}, {"loss": 1 / (frames + 1)})
            logger.timing({"frames": frames}, {"seconds": 1.0})

    with Logger(tmp_path / "whole", tensorboard=False) as logger:
        write(logger, 0, 9)
    with Logger(tmp_path / "killed", tensorboard=False) as logger:
        write(logger, 0, 5)
        state = json.loads(json.dumps(logger.state()))
        write(logger, 5, 7)
    with Logger(tmp_path / "killed", tensorboard=False) as logger:
        logger.restore(state)
        write(logger, 5, 9)
    for name in ("metrics.jsonl", "timing.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_start_without_checkpoint_empties_the_files(tmp_path: Path) -> None:
    for _ in range(2):
        with Logger(tmp_path, tensorboard=False) as logger:
            logger.restore(None)
            logger.write("train", {"frames": 1}, {"loss": 1.0})
    assert len(lines(tmp_path / "metrics.jsonl")) == 1


def test_a_file_shorter_than_recorded_is_named(tmp_path: Path) -> None:
    with Logger(tmp_path, tensorboard=False) as logger:
        logger.write("train", {"frames": 1}, {"loss": 1.0})
        state = logger.state()
        (tmp_path / "metrics.jsonl").write_text("")
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl has 0 bytes"):
            logger.restore(state)


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    with Logger(tmp_path, tensorboard=False) as logger:
        logger._metrics.close()
        logger._metrics._file = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115
        with pytest.raises(StorageError, match="No space left on device"):
            logger.write("train", {"frames": 1}, {"loss": 1.0})


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


@pytest.mark.filterwarnings("default")  # of the packages TensorBoard imports
def test_tensorboard_forgets_what_a_killed_run_left(tmp_path: Path) -> None:
    with Logger(tmp_path) as logger:
        logger.restore(None)
        logger.write("train", {"updates": 9, "frames": 10}, {"loss": 1.0})
        state = logger.state()
        logger.write("train", {"frames": 20}, {"loss": 2.0})
        logger.write("train", {"frames": 30}, {"loss": 3.0})
    with Logger(tmp_path) as logger:
        logger.restore(state)
        logger.write("train", {"frames": 20}, {"loss": 4.0})
    assert points(tmp_path / "tensorboard", "train/loss") == [(10, 1.0), (20, 4.0)]
