"""Packs on a hub, which is a small server on loopback here; the network is never asked."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from toy_agents import toy_agent
from toy_hub import Hub, running

import choreo
from choreo.agent import Agent
from choreo.cli import main
from choreo.errors import CheckpointError, UsageError
from choreo.record import checkpoint, pack
from choreo.record.hub import address_of, fetch, push
from choreo.studio.runs import find_runs

NAME = "somebody/point"


def forget() -> None:
    """The library reads its variables when it is imported."""
    for name in [name for name in sys.modules if name.split(".")[0] == "huggingface_hub"]:
        del sys.modules[name]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    with running() as (hub, address):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # no code is trusted yet
        monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        forget()
        yield hub
        forget()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A pack of an untrained agent with the files that every pack has."""
    tensors, description = toy_agent().inference()
    folder = checkpoint.save(
        tmp_path, "point", tensors, {"agent": description}, keep=None, point=False
    )
    (folder / pack.CARD).write_text("---\nlibrary_name: choreo\nlicense: mit\n---\n")
    about = {"run": "point", "checkpoint": "x", "kind": "pretrain", "environment": "point_mass"}
    pack.seal(folder, about | {"counted": "frames", "frozen": False})
    return folder


def acted(agent: Agent) -> np.ndarray:
    return agent.session().act(np.ones(4, np.float32), skill=2)


def test_what_is_pushed_is_loaded(hub: Hub, packed: Path, tmp_path: Path) -> None:
    address = push(packed, NAME)
    sha = hub.commits[NAME][-1][0]
    assert address == f"hf://{NAME}@{sha}"
    pushed = hub.commits[NAME][-1][1]
    assert pushed.keys() - {".gitattributes"} == {p.name for p in packed.iterdir()}
    for one in (f"hf://{NAME}", address, Path(f"hf://{NAME}@main")):
        assert np.array_equal(acted(choreo.load(one)), acted(choreo.load(packed)))
    folder = fetch(address)
    assert folder.is_relative_to(tmp_path / "home")
    assert address_of(folder) == f"hf://{NAME}@{sha[:12]}"
    (packed / pack.FILM).write_bytes(b"film")
    pack.seal(packed, pack.read(packed)["about"])
    push(packed, NAME)
    assert pack.FILM in {p.name for p in fetch(f"hf://{NAME}").iterdir()}
    assert fetch(address) == folder, "a revision stays what it was"
    (packed / pack.FILM).unlink()
    pack.seal(packed, pack.read(packed)["about"])
    push(packed, NAME)
    assert pack.FILM not in hub.commits[NAME][-1][1]


def test_the_commands_take_an_address(
    hub: Hub, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pack", str(packed), "--push", NAME, "--json"]) == 0
    address = json.loads(capsys.readouterr().out)["address"]
    assert main(["doctor", address]) == 0
    asked = [
        "--episodes",
        "1",
        "--skill",
        "1",
        "--json",
        "--time-limit",
        "5",
        "--env",
        "toy_envs:point",
    ]
    assert main(["evaluate", address, *asked]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["about"]["run"] == "point"
    folder = fetch(address)
    assert [run.title for run in find_runs(folder)] == [address_of(folder)]
    (packed.parent / "score.json").write_text(json.dumps({"moves": [{"skill": 1, "steps": 5}]}))
    score = ["play", str(packed.parent / "score.json"), address, "--env", "toy_envs:point"]
    assert main([*score, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["steps"] == 5
    assert main(["evaluate", address]) == 2, "code that a stranger names is not run"
    assert "names the code toy_envs:point" in capsys.readouterr().err


def test_one_that_is_here_opens_without_the_hub(
    hub: Hub, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(packed, NAME)
    choreo.load(f"hf://{NAME}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    forget()
    before = len(hub.asked)
    assert np.array_equal(acted(choreo.load(f"hf://{NAME}")), acted(choreo.load(packed)))
    assert len(hub.asked) == before
    with pytest.raises(UsageError, match="hf://somebody/other: the hub said"):
        choreo.load("hf://somebody/other")


def spoilt(files: dict[str, bytes], name: str, content: bytes) -> dict[str, bytes]:
    return {**files, name: content}


def test_what_strangers_put_there_is_refused(hub: Hub, packed: Path) -> None:
    sound = {p.name: p.read_bytes() for p in packed.iterdir()}
    hub.commit(NAME, spoilt(sound, pack.TENSORS, sound[pack.TENSORS][:-1] + b"x"))
    with pytest.raises(CheckpointError, match=pack.TENSORS):
        choreo.load(f"hf://{NAME}")
    hub.commit(NAME, {"pytorch_model.bin": b"code", "config.json": b"{}"})
    with pytest.raises(UsageError, match=r"no pack: there is no pack\.json"):
        choreo.load(f"hf://{NAME}")
    assert not any("pytorch_model" in one for one in hub.asked if "resolve" in one)
    hub.commit(NAME, spoilt(sound, "../../x.py", b"1") | {"run.py": b"1"})
    assert {p.name for p in fetch(f"hf://{NAME}").iterdir()} == set(sound)
    hub.commit(NAME, spoilt(sound, pack.CARD, b"another"))
    hub.sizes[pack.TENSORS] = 2**40
    with pytest.raises(UsageError, match="a pack has at most"):
        choreo.load(f"hf://{NAME}")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("hf://nobody/nothing", "the hub said RepositoryNotFound"),
        (f"hf://{NAME}@other", "the hub said RevisionNotFound"),
        ("hf://alone", "is no address of a pack; wanted is hf://OWNER/NAME"),
        ("hf://a/b@../../x", "is no address"),
        ("hf://../b", "is no address"),
        ("hf://a/b/c", "is no address"),
    ],
)
def test_addresses_that_lead_nowhere(
    hub: Hub, capsys: pytest.CaptureFixture[str], address: str, words: str
) -> None:
    hub.commit(NAME, {})
    for command in (["skills", address], ["finetune", "--env", "x", f"--from={address}"]):
        assert main(command) == 2
        assert words in capsys.readouterr().err


def test_a_hub_that_is_not_there_is_a_sentence(
    hub: Hub, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    forget()
    with pytest.raises(UsageError, match="the hub said"):
        choreo.load(f"hf://{NAME}")
    with pytest.raises(UsageError, match="the hub said"):
        push(packed, NAME)


def test_without_the_extra_it_is_named(
    packed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    extra = re.escape("pip install 'choreo[hub]'")
    for command in (["evaluate", f"hf://{NAME}"], ["pack", str(packed), "--push", NAME]):
        assert main(command) == 2
        assert re.search(extra, capsys.readouterr().err)
    assert choreo.load(packed).num_skills == 5
    assert main(["pack", str(packed), "--push", "no name"]) == 2
    assert "wanted is OWNER/NAME" in capsys.readouterr().err
