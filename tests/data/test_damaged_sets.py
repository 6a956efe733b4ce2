"""Damaged sets of HDF5, Minari and LeRobot, and those whose library is missing."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_data import episode, write_hdf5, write_lerobot, write_minari

from choreo.data import BadEpisode, ImportOptions, import_data, open_source
from choreo.errors import UsageError


def test_damaged_hdf5(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_hdf5(folder / "a.hdf5", [episode(), episode()], "after")
    (folder / "b.hdf5").write_bytes((folder / "a.hdf5").read_bytes()[:900])
    with pytest.raises(BadEpisode, match=r"b\.hdf5: it cannot be read"):
        import_data(folder, tmp_path / "set")
    card = import_data(folder, tmp_path / "set", ImportOptions(skip_bad=True))
    assert card["episodes"] == 2 and card["skipped"]["count"] == 1


def test_hdf5_without_episodes(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["torques"] = np.zeros((5, 2))
    with pytest.raises(
        UsageError,
        match=r"holds no group with actions or action, only torques\..*--map action=NAME",
    ):
        open_source(tmp_path / "a.hdf5")


def test_damaged_minari(tmp_path: Path) -> None:
    folder = write_minari(tmp_path / "data", [episode(), episode()], "hdf5")
    (folder / "data" / "main_data.hdf5").write_bytes(b"nothing")
    with pytest.raises(BadEpisode, match=r"main_data\.hdf5: episode 0: it cannot be read"):
        import_data(folder, tmp_path / "set")
    metadata = folder / "data" / "metadata.json"
    told = metadata.read_text()
    for wrong in ('"what"', "3"):
        metadata.write_text(told.replace('"hdf5"', wrong))
        with pytest.raises(
            UsageError, match=r"metadata\.json: its 'data_format' is .*; wanted hdf5 or arrow"
        ):
            open_source(folder)
    metadata.write_text('{"data_format": "hdf5", "env_spec": "{}"}')
    with pytest.raises(UsageError, match=r"does not tell action_space and observation_space"):
        open_source(folder)
    metadata.write_text("{")
    with pytest.raises(UsageError, match=r"metadata\.json: it cannot be read"):
        open_source(folder)


def test_damaged_lerobot(tmp_path: Path) -> None:
    folder = write_lerobot(tmp_path / "data", [episode() for _ in range(4)])
    table = folder / "data" / "chunk-000" / "file-001.parquet"
    table.write_bytes(table.read_bytes()[:100])
    card = import_data(folder, tmp_path / "set", ImportOptions(skip_bad=True))
    assert card["episodes"] == card["skipped"]["count"] == 2
    info = folder / "meta" / "info.json"
    info.write_text(info.read_text().replace("v3.0", "v2.1"))
    with pytest.raises(UsageError, match=r"of version v2\.1; version 3 is read"):
        open_source(folder)
    info.write_text("")
    with pytest.raises(UsageError, match=r"info\.json: it cannot be read"):
        open_source(folder)
    info.write_text("[]")
    with pytest.raises(UsageError, match=r"info\.json: it is no JSON object"):
        open_source(folder)


@pytest.mark.parametrize(
    ("module", "write"),
    [
        ("h5py", lambda folder: write_hdf5(folder / "a.hdf5", [episode()], "after")),
        ("minari", lambda folder: write_minari(folder / "m", [episode()], "hdf5")),
        ("pyarrow", lambda folder: write_lerobot(folder / "l", [episode()])),
        ("pyarrow", lambda folder: write_minari(folder / "a", [episode()], "arrow")),
    ],
)
def test_a_missing_library_is_named(
    tmp_path: Path, module: str, write: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] in ("minari", "pyarrow")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=f"package {module}, which is not .*choreo\\[data\\]"):
        open_source(source)
