import logging

import pytest

from choreo.training.health import HealthWatch

GOOD = {"codebook/perplexity": 12.0}


def test_a_line_of_metrics_says_what_it_warns_of_and_people_hear_of_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = HealthWatch(codes=16)
    assert watch.look(GOOD, 100) == {} and watch.note == ""
    with caplog.at_level(logging.WARNING, "choreo"):
        for frames in (200, 300):
            assert watch.look({"codebook/perplexity": 2.0}, frames) == {"warning/few_codes": 1.0}
            assert "few codes in use: 2.0 of 16" in watch.note
    assert len(caplog.records) == 1 and "at 200 frames" in caplog.text
    assert watch.look(GOOD, 400) == {} and watch.note == ""


def test_fine_tuning_is_warned_of_what_its_lines_and_evaluations_show() -> None:
    watch = HealthWatch(codes=16, adapts_after=10)
    assert watch.look({"world_model/loss": 1.0}, 19) == {}
    assert watch.look({"world_model/loss": 1.0}, 20) == {"warning/missing_reward": 1.0}
    assert watch.look({"adaptation/entropy": 2.7}, 30) == {}
    assert watch.look({"adaptation/entropy": 0.02}, 40) == {"warning/certain_selector": 1.0}
    for value in (300.0, 20.0, 10.0):
        watch.evaluated({"return": value})
    again = HealthWatch(codes=16, adapts_after=10)
    again.restore(watch.state())
    assert again.look({"adaptation/reward": 0.0}, 50) == {"warning/falling_return": 1.0}
    watch.evaluated({"return": 300.0, "critic/expected": 40.3, "critic/found": 13.2})
    again.restore(watch.state())
    assert again.look({"adaptation/reward": 0.0}, 50) == {"warning/hopeful_critic": 1.0}
    again.restore({})  # a checkpoint of an older version
    assert again.look({"adaptation/reward": 0.0}, 50) == {}


def test_a_run_without_a_whole_sequence_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = HealthWatch(codes=16)
    watch.wait(19, random_frames=10)
    assert watch.note == ""
    with caplog.at_level(logging.WARNING, "choreo"):
        for frames in (20, 21):
            watch.wait(frames, random_frames=10)
    assert len(caplog.records) == 1 and "nothing learned in 20 frames" in caplog.text
    assert "--training.sequences stream" in watch.note
