"""The plan of the house: who may import whom, and how little an import of the package costs."""

import ast
import importlib.metadata
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import choreo

PACKAGE = Path(choreo.__file__).parent

# From the roof down; a room imports only from floors below its own. As in the design, but for the
# schema of all options: it is composed of the modules' own options, and the loops are written
# against the whole, so it stands between them.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("demo",),
    ("intact",),
    ("doctor",),
    ("bench",),
    ("sweep",),
    ("studio",),
    ("packing",),
    ("training",),
    ("report",),
    ("evaluation",),
    ("viz",),
    ("presets", "config_form"),
    ("config",),
    ("learning",),
    ("export",),
    ("agent",),
    ("adaptation",),
    ("exploration",),
    ("skills",),
    ("imagination",),
    ("world_model",),
    ("nn",),
    ("native",),
    ("capture",),
    ("runtime",),
    ("data",),
    ("envs", "replay", "record"),
    ("errors", "private", "schema", "stopping"),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

# What `choreo/__init__.py` gives that every room may use.
ROOT_NAMES = {"__version__"}

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
HEAVY = ("torch", "numpy", "scipy", "mujoco", "dm_control", "gymnasium", "matplotlib", "tyro")


def _typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _run_time_nodes(tree: ast.AST, later: bool) -> Iterator[ast.AST]:
    """The nodes of a module that run, those of functions if `later`, none for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if _typing_only(node) or (isinstance(node, FUNCTION) and not later):
            continue
        yield node
        yield from _run_time_nodes(node, later)


def _module_name(path: Path, root: Path = PACKAGE) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(("choreo", *parts)).removesuffix(".__init__")


def _absolute(node: ast.ImportFrom, path: Path, root: Path) -> str:
    """The module that an import statement names, relative dots resolved."""
    if node.level == 0:
        return node.module or ""
    package = ("choreo", *path.relative_to(root).parts[:-1])
    kept = package[: len(package) - (node.level - 1)]
    return ".".join((*kept, *([node.module] if node.module else [])))


def _targets(path: Path, root: Path = PACKAGE, later: bool = True) -> set[str]:
    """Names of what a file imports from the package, such as `choreo.nn.layers.MLP`.

    With `later`, also what its functions import when they are called.
    """
    found: set[str] = set()
    for node in _run_time_nodes(ast.parse(path.read_text()), later):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, path, root)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "choreo"}


def _room(name: str) -> str:
    """The module or package directly under `choreo` that a dotted name lies in."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def _complaint(source: str, target: str) -> str | None:
    """What is wrong with one arrow between two rooms, or None."""
    if source == target or target in ROOT_NAMES or LEVEL[target] > LEVEL[source]:
        return None
    return f"{source} imports {target}, which is not below it"


def _files(root: Path = PACKAGE) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts)


def _complaints(root: Path = PACKAGE) -> list[str]:
    found = []
    for path in _files(root):
        source = _room(_module_name(path, root))
        if not source:  # choreo/__init__.py is the front door and opens onto any floor
            continue
        for name in sorted(_targets(path, root)):
            target = _room(name)
            if source not in LEVEL or (target not in LEVEL and target not in ROOT_NAMES):
                found.append(f"{path.name}: give {source} and {target} their floor in FLOORS")
            elif complaint := _complaint(source, target):
                found.append(f"{path.relative_to(root)}: {complaint}")
    return found


def test_every_arrow_of_import_points_downwards() -> None:
    assert _complaints() == []


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [
        ("nn/a.py", "from choreo.agent import load", True),
        ("nn/a.py", "def f():\n    import choreo.agent", True),
        ("nn/a.py", "from ..agent import load", True),
        ("nn/a.py", "from choreo import agent", True),
        ("nn/a.py", "from choreo import load", True),
        ("replay/a.py", "from choreo.envs import spaces", True),
        ("learning/a.py", "from choreo.config import Config", True),
        ("attic/a.py", "from choreo.nn import layers", True),
        ("training/a.py", "from choreo.config import Config", False),
        ("nn/a.py", "from choreo import __version__, errors", False),
        ("nn/a.py", "from .b import c", False),
        ("agent/a.py", "from choreo.nn.layers import MLP\nimport torch", False),
        ("nn/a.py", "if TYPE_CHECKING:\n    from choreo.agent import Agent", False),
    ],
)
def test_the_check_sees_a_wrong_arrow(tmp_path: Path, file: str, text: str, wrong: bool) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert bool(_complaints(tmp_path)) is wrong


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """What remains when modules that import nothing more, or that nobody does, are taken away."""
    left = {name: set(targets) for name, targets in graph.items()}
    while True:
        imported = set().union(*left.values())
        kept = {n: t & left.keys() for n, t in left.items() if t & left.keys() and n in imported}
        if kept == left:
            return sorted(left)
        left = kept


def _run_with(name: str) -> set[str]:
    """The modules that run when a dotted name is imported: itself and every package above it."""
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(2, len(parts) + 1)}


def _graph(root: Path = PACKAGE) -> dict[str, set[str]]:
    """Which modules of the package each of them runs, but for the packages that it lies in."""
    modules = {_module_name(path, root): path for path in _files(root)}
    graph = {}
    for name, path in modules.items():
        runs = set().union(*map(_run_with, _targets(path, root, later=False))) & modules.keys()
        graph[name] = {other for other in runs - {name} if not name.startswith(other + ".")}
    return graph


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = _graph()
    graph.pop("choreo")
    assert _circle(graph) == []


def test_a_circle_through_a_packages_front_is_seen(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "config.py").write_text("from choreo.training.schedule import Clock")
    (tmp_path / "training" / "schedule.py").write_text("")
    (tmp_path / "training" / "__init__.py").write_text("from choreo.training.loop import run")
    loop = tmp_path / "training" / "loop.py"
    loop.write_text("")
    assert _circle(_graph(tmp_path)) == []
    loop.write_text("from choreo.config import Config")
    assert "choreo.config" in _circle(_graph(tmp_path))


def test_a_circle_is_seen() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, choreo, choreo.__main__, choreo.errors, choreo.doctor\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.strip() == "[]"


def test_load_is_the_agents_load(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = types.ModuleType("choreo.agent")
    agent.__dict__["load"] = lambda path: ("agent of", path)
    monkeypatch.setitem(sys.modules, "choreo.agent", agent)
    assert choreo.load("runs/one") == ("agent of", "runs/one")


def test_the_version_is_that_of_the_installed_package() -> None:
    assert choreo.__version__ == importlib.metadata.version("choreo")
