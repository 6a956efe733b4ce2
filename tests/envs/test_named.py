"""Code that was named on a command line may be named by a run; other code of its name may not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from choreo.envs.named import is_remembered, remember

IDS = ("own:make", "package.inner:make", "gym:own:Own-v0")


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where notes are kept; the working directory is a project that has been trained with."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for project in ("mine", "theirs"):
        (tmp_path / project / "package").mkdir(parents=True)
        for file in ("own.py", "package/__init__.py", "package/inner.py"):
            (tmp_path / project / file).write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path / "mine")
    for name in IDS:
        remember(name)
    return tmp_path / "state" / "choreo" / "named"


def test_what_was_named_is_known_and_nothing_is_imported(notes: Path) -> None:
    assert [is_remembered(name) for name in IDS] == [True] * 3 and not Path("ran").exists()
    assert not any(is_remembered(name) for name in ("own:other", "package.other:make", "gone:make"))
    assert notes.stat().st_mode & 0o777 == 0o700


def test_the_same_name_elsewhere_is_other_code(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("../theirs")
    assert not any(is_remembered(name) for name in IDS)


def test_what_runs_no_code_of_a_name_needs_no_note(notes: Path) -> None:
    for name in ("walker", "dmc:point_mass-easy", "gym:Pendulum-v1", "gone:make"):
        remember(name)
    assert len(list(notes.iterdir())) == len(IDS)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda note: note.chmod(0o666), id="writable by all"),
        pytest.param(lambda note: note.write_bytes(b""), id="other content"),
        pytest.param(lambda note: note.rename(note.parent / "x"), id="gone"),
        pytest.param(
            lambda note: (note.rename("x"), note.symlink_to(Path("x").resolve())), id="link"
        ),
        pytest.param(
            lambda note: os.chown(note, 65534, 65534),
            id="another user's",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away"),
        ),
    ],
)
def test_a_note_that_this_user_did_not_write_is_none(
    notes: Path, spoil: Callable[[Path], object]
) -> None:
    for note in list(notes.iterdir()):
        spoil(note)
    assert not any(is_remembered(name) for name in IDS)


def test_where_nothing_can_be_kept_nothing_is_known(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    remember(IDS[0])
    assert not is_remembered(IDS[0])
