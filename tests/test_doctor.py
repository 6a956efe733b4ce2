import importlib.metadata
import os
import subprocess
import sys
import types
from collections import namedtuple

import pytest
import torch

from choreo import doctor, runtime
from choreo.envs.rendering import backends


def _versions(monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None]) -> None:
    """Make some packages appear installed in another version, or (None) not at all."""
    real = doctor._installed
    monkeypatch.setattr(
        doctor, "_installed", lambda name: changed[name] if name in changed else real(name)
    )


def _renderer(monkeypatch: pytest.MonkeyPatch, **failures: str | None) -> None:
    """Let each back end fail in this way or draw (None), so that no OpenGL starts."""
    monkeypatch.setattr(
        backends, "try_backend", lambda backend: backends.Attempt(failures[backend])
    )


def test_diagnose_names_each_finding_once_and_advises_on_every_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _renderer(monkeypatch, egl=None, osmesa=None)
    findings = doctor.diagnose()
    names = [finding.name for finding in findings]
    assert len(names) == len(set(names)) == 10
    assert all(finding.value for finding in findings)
    assert all(finding.advice for finding in findings if not finding.ok)
    assert "page allocator" in names


def test_this_installation_is_in_order() -> None:
    assert doctor._python().ok
    assert doctor._versions().ok
    assert doctor._dependencies().ok, doctor._dependencies().value
    assert doctor._simulators() == doctor.Finding(
        "simulators", "mujoco 3.3.0, dm_control 1.0.28", True
    )


@pytest.mark.parametrize(
    ("python", "advised"),
    [
        ((3, 11), "pip install mujoco==3.3.0 dm_control==1.0.28."),
        ((3, 13), "pip install --no-deps mujoco==3.3.0 dm_control==1.0.28."),
    ],
)
def test_another_simulator_pair_is_a_fault_with_the_command_that_mends_it(
    monkeypatch: pytest.MonkeyPatch, python: tuple[int, int], advised: str
) -> None:
    _versions(monkeypatch, {"mujoco": "4.0.0", "dm_control": None})
    monkeypatch.setattr(sys, "version_info", python)
    finding = doctor._simulators()
    assert not finding.ok
    assert finding.value == "mujoco 4.0.0, dm_control missing"
    assert finding.advice.endswith(advised)


def test_only_the_wrong_half_of_the_pair_is_to_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _versions(monkeypatch, {"mujoco": "3.3.7"})
    assert "dm_control" not in doctor._simulators().advice


def test_a_dependency_out_of_range_and_a_missing_one_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _versions(monkeypatch, {"numpy": "2.9.0", "av": None})
    finding = doctor._dependencies()
    assert not finding.ok
    assert finding.value == "numpy 2.9.0 is not <2.4,>=2.1; av is missing"


def test_extras_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _versions(monkeypatch, {"wandb": None, "hypothesis": None})
    assert doctor._dependencies().ok


def test_a_missing_package_is_not_installed() -> None:
    assert doctor._installed("choreo-has-no-such-part") is None
    assert doctor._installed("choreo") == importlib.metadata.version("choreo")


@pytest.mark.parametrize(("version", "ok"), [((3, 10), False), ((3, 11), True), ((3, 14), False)])
def test_python_outside_the_supported_versions_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], ok: bool
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    finding = doctor._python()
    assert finding.ok is ok
    assert bool(finding.advice) is not ok


@pytest.mark.parametrize(
    ("there", "packages"),
    [
        ((), "for EGL apt-get install libegl1 libgl1-mesa-dri; for OSMesa apt-get install libosm"),
        (("EGL",), "for EGL apt-get install libgl1-mesa-dri; for OSMesa"),
        (("EGL", "OSMesa"), "for EGL apt-get install libgl1-mesa-dri."),
    ],
)
def test_no_renderer_is_a_fault_that_names_the_missing_packages(
    monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], packages: str
) -> None:
    _renderer(monkeypatch, egl="no display", osmesa="no library")
    monkeypatch.setattr(doctor.ctypes.util, "find_library", lambda n: n if n in there else None)
    finding = doctor._renderer()
    assert not finding.ok
    assert finding.value == "EGL does not (no display); OSMesa does not (no library)"
    assert finding.advice.startswith("Training from states needs none; " + packages)


def test_one_back_end_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    _renderer(monkeypatch, egl=None, osmesa="no library")
    monkeypatch.setattr(doctor.ctypes.util, "find_library", lambda name: None)
    finding = doctor._renderer()
    assert finding.ok and finding.value == "EGL draws; OSMesa does not (no library)"
    assert finding.advice == "One is enough; for OSMesa apt-get install libosmesa6."
    _renderer(monkeypatch, egl=None, osmesa=None)
    assert doctor._renderer() == doctor.Finding("renderer", "EGL draws; OSMesa draws", True)


def test_a_check_that_breaks_is_a_finding_and_stops_nothing() -> None:
    def _broken_part() -> doctor.Finding:
        raise OSError("gone")

    finding = doctor._guarded(_broken_part)
    assert (finding.name, finding.ok) == ("broken part", False)
    assert "OSError: gone" in finding.value


@pytest.mark.parametrize(
    ("driver", "build", "ok", "advice"),
    [
        (None, None, True, "--preset cpu"),
        ("nvidia-smi", None, False, "CPU build"),
        ("nvidia-smi", "13.0", False, "finds no device"),
    ],
)
def test_device_without_cuda(
    monkeypatch: pytest.MonkeyPatch, driver: str | None, build: str | None, ok: bool, advice: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", build)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: driver)
    finding = doctor._device()
    assert finding.value.startswith("CPU")
    assert finding.ok is ok
    assert advice in finding.advice


def test_device_with_cuda_tells_name_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    card = types.SimpleNamespace(name="Some Card", total_memory=80 * doctor.GIB)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    assert doctor._device() == doctor.Finding("device", "Some Card, 80 GiB, and 2 more", True)


def test_more_threads_than_cores_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr("choreo.runtime.usable_cores", lambda: 2)
    assert not doctor._threads().ok
    assert "--threads 2" in doctor._threads().advice


@pytest.mark.parametrize(("gib", "ok"), [(1, False), (100, True)])
def test_little_disk_is_a_fault(monkeypatch: pytest.MonkeyPatch, gib: int, ok: bool) -> None:
    usage = namedtuple("usage", "total used free")(0, 0, gib * doctor.GIB)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    assert doctor._disk().ok is ok
    assert doctor._disk().value.startswith(f"{gib}.0 GiB")


@pytest.mark.parametrize(("gib", "ok"), [(1, False), (16, True)])
def test_little_memory_is_a_fault(monkeypatch: pytest.MonkeyPatch, gib: int, ok: bool) -> None:
    monkeypatch.setattr(doctor, "_available_memory", lambda: gib * doctor.GIB)
    assert doctor._memory().ok is ok


def test_available_memory_is_plausible() -> None:
    assert 2**26 < doctor._available_memory() < 2**50


@pytest.mark.parametrize(("share", "ok"), [(1.0, False), (0.1, True)])
def test_an_allocator_that_gives_memory_back_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, share: float, ok: bool
) -> None:
    monkeypatch.setattr(runtime, "keep_memory", lambda: True)
    monkeypatch.setattr(doctor, "_share_of_fresh_pages", lambda: share)
    finding = doctor._page_allocator()
    assert finding.ok is ok
    assert (doctor.KEEP_PAGES in finding.advice) is not ok


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator meant is glibc's")
def test_commands_keep_freed_memory_for_the_next_tensor() -> None:
    code = (
        "from choreo import doctor, runtime\n"
        "fresh = doctor._share_of_fresh_pages()\n"
        "print(runtime.keep_memory(), fresh > 0.9, doctor._share_of_fresh_pages() < 0.1)"
    )
    plain = {name: v for name, v in os.environ.items() if not name.startswith("MALLOC_")}
    plain.pop("LD_PRELOAD", None)
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=plain
    )
    if run.stdout.startswith("False"):
        pytest.skip("another allocator than glibc's")
    assert run.stdout.split() == ["True", "True", "True"], run.stderr
