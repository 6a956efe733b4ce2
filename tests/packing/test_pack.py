"""Packs: what is in them, that they open as the agent they were, and what is refused."""

import getpass
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_disk import full_disk
from toy_runs import QUIET, finetune, pretrain, state

import choreo
from choreo.agent import Agent
from choreo.cli import main
from choreo.errors import CheckpointError, StorageError
from choreo.record import checkpoint, pack

MEASURED = ["--trust", "--episodes", "2", "--steps", "51", "--time-limit", "60", "--no-pictures"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in a folder that is called as its user."""
    folder = tmp_path_factory.mktemp("runs") / f"of-{getpass.getuser()}-alone" / "run"
    return pretrain(folder, frames=90)


@pytest.fixture(scope="module")
def packed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack that is only looked at."""
    folder = tmp_path_factory.mktemp("packs") / "point"
    assert main(["pack", str(run), str(folder), *MEASURED]) == 0
    return folder


@pytest.fixture
def own(packed: Path, tmp_path: Path) -> Path:
    """A copy of it to be spoilt."""
    return Path(shutil.copytree(packed, tmp_path / "point"))


def actions(agent: Agent, steps: int = 12) -> np.ndarray:
    """What skills and explorer do with the same observations, by mean and by chance."""
    random, session = np.random.default_rng(0), agent.session(seed=3)
    seen = random.normal(size=(steps, 4)).astype(np.float32)
    taken = [session.act(one, skill=k % agent.num_skills) for k, one in enumerate(seen)]
    taken += [session.act(one, sample=True) for one in seen]
    return np.stack(taken)


def test_a_pack_acts_bit_for_bit_as_the_run(run: Path, packed: Path) -> None:
    one, other = choreo.load(run), choreo.load(packed)
    assert np.array_equal(actions(one), actions(other))
    assert one.spec == other.spec and one.config == other.config
    state_of = {name: value for name, value in one.state_dict().items() if "critic" not in name}
    packed_state = other.state_dict()
    same = [
        torch.equal(value, packed_state[n]) for n, value in state_of.items() if "intrin" not in n
    ]
    assert all(same) and len(same) > 20


def test_a_pack_holds_what_acts_and_nothing_of_the_machine(run: Path, packed: Path) -> None:
    assert {p.name for p in packed.iterdir()} == {pack.LISTING, *pack.FILES} - {pack.FILM}
    assert [p.name for p in packed.parent.iterdir()] == ["point"]
    tensors, _ = checkpoint.load(packed)
    assert all(name.startswith("agent.") for name in tensors)
    assert not any("critic" in name or "intrinsic" in name for name in tensors)
    told = b"".join(p.read_bytes() for p in packed.iterdir())
    secrets = [
        str(run),
        str(run.parent),
        str(packed.parent),
        str(Path.cwd()),
        str(Path.home()) + "/",
    ]
    for secret in [*secrets, run.parent.name, f"-{getpass.getuser()}-"]:
        assert secret.encode() not in told, secret
    assert b"run_dir" not in told and b"wandb" not in told


def test_the_card_says_what_it_is_of(run: Path, packed: Path) -> None:
    card = (packed / pack.CARD).read_text()
    fields = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert fields is not None
    for name in ("library_name: choreo", 'license: "mit"', "pipeline_tag: reinforcement-learning"):
        assert name in fields[1]
    assert '- "toy_envs:point"' in fields[1]
    frames = state(run)["count"]
    for words in (
        f"{frames} frames",
        "| Steps (decisions) |",
        "| Seed | 0 |",
        "| Hours of training |",
        "torch 2",
        "random actions",
        "untrained agent",
        "## Known failures",
        "float32 \\[4\\]",
        "`observation`",
    ):
        assert words in card, words
    assert len(re.findall(r"^choreo ", card, re.MULTILINE)) == 3


def test_the_commands_of_the_card_can_be_given(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(packed, tmp_path / "elsewhere" / "point")
    monkeypatch.chdir(tmp_path / "elsewhere")
    card = Path("point", pack.CARD).read_text()
    lines = re.findall(r"^choreo (.*)$", card, re.MULTILINE)
    assert main([*lines[0].split(), *MEASURED[1:]]) == 0
    assert Path("skills/point/report.html").exists(), "nothing is written into a pack"
    assert "No recorded experience is here" in Path("skills/point/report.html").read_text()
    assert main([*lines[1].split()[:-2], "--episodes", "1"]) == 0
    tuned = ["--frames", "60", "--training.time-limit", "20", *QUIET]
    assert main([*lines[2].split(), *tuned]) == 0
    about = json.loads(Path("point", pack.LISTING).read_text())["about"]
    assert about["count"] == 90 and about["environment"] == "toy_envs:point"
    options = json.loads(Path("runs/tuned/config.json").read_text())["config"]
    assert options["source"].endswith("point") and options["preset"] == "debug"


def test_a_fine_tuned_agent_and_a_pack_can_be_packed(packed: Path, tmp_path: Path) -> None:
    tuned = finetune(tmp_path / "tuned", "--from", str(packed), "--training.random-frames", "20")
    for source in (tuned, packed):
        out = tmp_path / source.name / "again"
        shutil.copytree(packed, out.parent) if source is packed else None
        assert main(["pack", str(source), str(out), *MEASURED]) == 0
        one, other = choreo.load(source), choreo.load(out)
        assert np.array_equal(actions(one), actions(other))
    assert "fine-tuned on" in (tmp_path / "tuned" / "again" / pack.CARD).read_text()


def flip(path: Path) -> str:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path.name


def rewrite(folder: Path, change: Callable[[dict], object]) -> str:
    """Forge the list, with its own hash made anew."""
    content = json.loads((folder / pack.LISTING).read_text())
    change(content)
    content.pop("sha256")
    content["sha256"] = pack._digest(content)
    (folder / pack.LISTING).write_text(json.dumps(content))
    return pack.LISTING


def listing(content: dict, **changes: object) -> None:
    content["files"]["config.json"] |= changes


DAMAGE: dict[str, Callable[[Path], str]] = {
    **{f"changed {name}": lambda p, name=name: flip(p / name) for name in (*pack.FILES[:-1],)},
    "changed list": lambda p: flip(p / pack.LISTING),
    "cut weights": lambda p: (os.truncate(p / pack.TENSORS, 100), pack.TENSORS)[1],
    "missing film": lambda p: rewrite(
        p, lambda c: c["files"].update({pack.FILM: {"bytes": 3, "sha256": "0"}})
    ).replace(pack.LISTING, pack.FILM),
    "missing weights": lambda p: ((p / pack.TENSORS).unlink(), pack.TENSORS)[1],
    "half written": lambda p: ((p / pack.LISTING).unlink(), pack.LISTING)[1],
    "wrong hash": lambda p: (rewrite(p, lambda c: listing(c, sha256="0" * 64)), "config.json")[1],
    "foreign file": lambda p: ((p / "run_me.py").write_text("1"), "run_me.py")[1],
    "foreign folder": lambda p: ((p / "more").mkdir(), "more")[1],
    "pipe": lambda p: ((p / pack.PAGE).unlink(), os.mkfifo(p / pack.PAGE), pack.PAGE)[2],
    "path": lambda p: rewrite(p, lambda c: c["files"].update({"../x": {"bytes": 1, "sha256": ""}})),
    "huge": lambda p: rewrite(p, lambda c: listing(c, bytes=2**40)),
    "huge in all": lambda p: rewrite(
        p, lambda c: [one.update(bytes=2**30) for one in c["files"].values()]
    ),
    "no list": lambda p: ((p / pack.LISTING).write_text("[1]"), pack.LISTING)[1],
    "nested": lambda p: ((p / pack.LISTING).write_text("[" * 10**5), pack.LISTING)[1],
    "about": lambda p: (rewrite(p, lambda c: c["about"].update(kind="x")), "about.kind")[1],
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_pack_is_refused_by_the_name_of_the_file(
    own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    name = DAMAGE[what](own)
    monkeypatch.chdir(own.parent)
    if what != "about":  # which says nothing of the agent
        with pytest.raises(CheckpointError, match=re.escape(name)):
            choreo.load(own)
    evaluate, finetune = ["evaluate", own], ["finetune", "--env", "toy_envs:point", "--from", own]
    for command in [evaluate] if what == "about" else [evaluate, finetune]:
        assert main([*map(str, command), *(QUIET if command is finetune else ["--json"])]) == 1
        assert name in capsys.readouterr().err
    assert not Path("runs/finetune").exists()
    if what not in ("about", "half written"):
        assert main(["doctor", str(own)]) == 1


def test_a_sound_pack_is_in_order(
    packed: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / ".gitattributes").write_text("* text\n")  # as hubs put it there
    for folder in (packed, own):
        capsys.readouterr()
        assert main(["doctor", str(folder), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert {one["name"] for one in found} == {pack.LISTING, *pack.FILES} - {pack.FILM}
        assert choreo.load(folder).num_skills == 4


def refuse(capsys: pytest.CaptureFixture[str], code: int, *arguments: str | Path) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


def test_bad_places_are_refused_and_nothing_is_left(
    run: Path, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    assert "is there already" in refuse(capsys, 2, "pack", run, there, *MEASURED)
    assert "no such folder" in refuse(capsys, 2, "pack", tmp_path / "none", tmp_path / "a")
    assert "no checkpoint in" in refuse(capsys, 2, "pack", there, tmp_path / "a")
    assert "OUT" in refuse(capsys, 2, "pack", run)
    (tmp_path / "file").write_text("")
    assert refuse(capsys, 74, "pack", run, tmp_path / "file" / "a", *MEASURED)
    assert "is a pack" in refuse(capsys, 2, "report", packed)
    text = refuse(capsys, 2, "pretrain", "--env", "toy_envs:point", "--run-dir", packed, *QUIET)
    assert "is a pack" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "there"]
    assert {p.name for p in packed.iterdir()} == {pack.LISTING, *pack.FILES} - {pack.FILM}


def test_a_disk_that_is_full_leaves_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with full_disk(20_000):
        text = refuse(capsys, StorageError.exit_code, "pack", run, tmp_path / "a", *MEASURED)
    assert "Could not write" in text
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written_to_leaves_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", read_only)
    text = refuse(capsys, StorageError.exit_code, "pack", run, tmp_path / "a", *MEASURED)
    assert "Read-only file system" in text
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_command_left_is_no_obstacle(run: Path, tmp_path: Path) -> None:
    left = tmp_path / ".packing-a"
    left.mkdir()
    (left / pack.TENSORS).write_text("half")
    assert main(["pack", str(run), str(tmp_path / "a"), *MEASURED]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_code_that_a_pack_names_is_not_run(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for command in ("evaluate", "skills", "zeroshot", "pack"):
        more = [tmp_path / "again"] if command == "pack" else []
        assert "names the code toy_envs:point" in refuse(capsys, 2, command, own, *more)


def test_a_pack_of_another_version_is_told(own: Path) -> None:
    rewrite(own, lambda content: content.update(format=2))
    with pytest.raises(CheckpointError, match="format 2; this version of Choreo reads format 1"):
        choreo.load(own)
