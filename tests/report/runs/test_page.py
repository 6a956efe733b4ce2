"""The report on many runs: page, Markdown and CSV agree, and nothing from outside gets in."""

import csv
import json
import re
import threading
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
import toy_results as toy

from choreo.cli import main
from choreo.cli import report as command
from choreo.errors import UsageError
from choreo.evaluation.runs.pooling import POOLABLE
from choreo.report.runs import runs_report, write_runs_report

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Tables of a page as rows of text; fails where tags do not balance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.scripts = 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script" or any(name.startswith("on") for name, _ in attrs)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "runs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a report on 3 methods x 4 tasks x 3 seeds, some of them missing."""
    folder = tmp_path_factory.mktemp("runs")
    toy.grid(folder)
    lost = folder / "walker_run-skills-s2"
    (lost / "config.json").unlink()
    toy.write(folder / "walker_run-skills-s0" / "skills" / "skills.json", toy.skills_json())
    write_runs_report(runs_report([folder], against="published"), folder / "report")
    return folder / "report"


def test_the_page_holds_the_numbers_worked_by_hand(made: Path) -> None:
    page = Page((made / "report.html").read_text())
    assert ["skills", "2 of 3", "458", "205 to 711", "0.57", "438 · 478"] in page.rows
    assert ["from scratch", "3", "159", "60.3 to 258", "0.20", "119 · 159 · 199"] in page.rows
    scratch = next(row for row in page.rows if row[:3] == ["from scratch", "4", "12"])
    assert scratch[3].startswith("0.20 (0.1") and scratch[6].startswith("0.80 (0.")
    assert ["walker_run", "skills", "seed 2: no run"] in page.rows
    assert ["CIC, not ours [1]", "968", "535", "0.83"] in page.rows
    assert ["hit rate", "skills", "1", "50%", "-", "10%", "8.0%", "6.2%", "1 of 1"] in page.rows


def test_markdown_and_csv_agree_with_the_page(made: Path) -> None:
    page = Page((made / "report.html").read_text())
    text = (made / "report.md").read_text()
    lines = [
        [re.sub(r"\\(.)", r"\1", cell) for cell in line.strip("| ").split(" | ")]
        for line in text.splitlines()
        if line.startswith("|") and "---" not in line
    ]
    assert [[cell for cell in row if cell] for row in page.rows] == [
        [cell.strip("| ") for cell in line if cell.strip("| ")] for line in lines
    ]
    rows = [row for row in rows_of(made) if row["task"] == "walker_run"]
    assert len(rows) == 3 * 3 - 1 + 1
    scratch = [float(row["return"]) for row in rows if row["method"] == "scratch"]
    assert sum(scratch) / 3 == pytest.approx(159.2)
    assert {row["measured"] for row in rows} == {"evaluation.json"}
    assert rows[0]["version_torch"] == "2.13.0" and rows[0]["processor"] == "Toy CPU"


def test_final_is_defined_and_nothing_is_fetched(made: Path) -> None:
    text = (made / "report.html").read_text()
    assert "The final score of a run is its mean return in evaluation.json" in text
    assert "10 episodes, choreo evaluate, after 1,000 frames" in text
    found = re.findall(r"""(?:src|href)=["']([^"']*)|https?://\S+|@import|url\(([^)]*)""", text)
    assert all((link or target).startswith("#") for link, target in found)
    assert "http-equiv" not in text


def test_names_are_text_on_the_page(tmp_path: Path) -> None:
    bad = '<script>alert(1)</script>"|$x_$'
    for seed in range(2):
        options = toy.config(bad, seed, preset=bad)
        place = toy.run(tmp_path / f"s{seed}<b>", options, toy.curve(5.0), {"torch": bad})
        toy.evaluation(place, 5.0)
    (tmp_path / "s0<b>" / "evaluation.json").write_text("<img src=x onerror=alert(1)>")
    report = runs_report([tmp_path], pool=("evaluation",))
    page, text, _ = write_runs_report(report, tmp_path / "out")
    assert Page(page.read_text()).scripts == 0
    assert "<script" not in page.read_text() + text.read_text()
    assert rows_of(tmp_path / "out")[0]["task"] == bad


def test_files_of_odd_content_make_no_traceback(tmp_path: Path) -> None:
    root = toy.sweep(tmp_path, {"walker": ("walker_run",)}, seeds=2)
    tuned = [root / f"finetune/walker_run-{name}" for name in ("skills-s0", "scratch-s1")]
    toy.write(root / "pretrain/walker-s0/run/config.json", {"format": 1, "config": True})
    toy.write(root / "pretrain/walker-s1/cell.json", {"labels": 3, "command": "pretrain"})
    toy.write(tuned[0] / "done.json", {"seconds": float("nan")})
    content = json.loads((tuned[1] / "run" / "config.json").read_text())
    odd = {"preset": [1], "command": "?", "obs": {"a": 1}, "seed": "x", "frames": float("inf")}
    content |= {"config": content["config"] | odd, "machine": {"commit": [], "processor": 1}}
    toy.write(tuned[1] / "run" / "config.json", content)
    with (tuned[0] / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "evaluation", "frames": 900, "return": Infinity}\n')
        file.write('{"kind": "evaluation", "frames": NaN, "return": 1e300}\n')
    toy.write(root / "skills/walker-s1/skills/skills.json", {"model_error": {"horizons": [15]}})
    report = runs_report([root], pool=POOLABLE)
    page = write_runs_report(report, tmp_path / "out")[0]
    assert ["from scratch", "2"] in [row[:2] for row in Page(page.read_text()).rows]


def test_missing_controls_and_pooled_differences_are_said(tmp_path: Path) -> None:
    for seed, frames in ((0, 1000), (1, 2000)):
        options = toy.config("walker_run", seed, frames=frames)
        toy.run(tmp_path / f"s{seed}", options, toy.curve(500.0, frames))
    with pytest.raises(UsageError, match="--pool budget"):
        runs_report([tmp_path])
    files = write_runs_report(runs_report([tmp_path], pool=("budget",)), tmp_path / "out")
    for path in files[:2]:
        text = path.read_text()
        assert "control “from scratch” is missing on all tasks" in text
        assert "control “random actions” is missing on all tasks" in text
        assert "1,000 (1 run); 2,000 (1 run)" in text


def test_the_command_on_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = toy.sweep(tmp_path / "toy", {"walker": ("walker_run",)})
    assert main(["report", str(root), "--json", "--curve", "kl", "--curve", "return"]) == 2
    assert "no run has logged this metric" in capsys.readouterr().err
    assert main(["report", str(root), "--json", "--curve", "world_model/kl"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["status"] == {"done": 10}
    skills = next(cell for cell in printed["tasks"] if cell["method"] == "skills")
    assert skills["mean"] == pytest.approx(sum(skills["returns"]) / 2)
    assert [Path(path).name for path in printed["files"]] == [
        "report.html", "report.md", "runs.csv",
    ]  # fmt: skip
    assert Path(printed["files"][0]).parent == root / "report"
    assert "Curves: world_model/kl" in (root / "report" / "report.html").read_text()
    assert main(["report", str(root)]) == 0  # the report's own folder is no run
    assert "random actions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "at least one folder"),
        (["gone"], "gone does not exist"),
        (["here", "--pool", "budgets"], "did you mean budget"),
        (["here", "--against", "no.csv"], "no.csv cannot be read"),
        (["here", "--watch", "0"], "at least 1 second"),
    ],
)
def test_bad_arguments_are_refused(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    toy.run(tmp_path / "here", toy.config("walker_run", 0), toy.curve(5.0))
    assert main(["report", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_sweep_that_has_not_begun_has_a_page(tmp_path: Path) -> None:
    toy.write(tmp_path / "sweep.json", {"format": 1, "name": "new", "cells": []})
    assert main(["report", str(tmp_path)]) == 0
    assert "No run has a final score yet" in (tmp_path / "report" / "report.html").read_text()


def test_watching_renews_the_page_until_runs_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options, lines = toy.config("walker_run", 0), toy.curve(500.0)
    toy.run(tmp_path, options, lines[:4])
    page, seen = tmp_path / "report" / "report.html", []

    def go_on(seconds: float) -> None:
        seen.append(page.read_text())
        toy.run(tmp_path, options, lines)

    monkeypatch.setattr(command.time, "sleep", go_on)
    assert main(["report", str(tmp_path), "--watch"]) == 0
    assert 'http-equiv="refresh" content="30"' in seen[0] and "400 of 1,000 frames" in seen[0]
    assert len(seen) == 1 and "http-equiv" not in page.read_text()
    assert "1 of 1 runs ended" in capsys.readouterr().err


def test_ctrl_c_ends_watching_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.run(tmp_path, toy.config("walker_run", 0), toy.curve(500.0)[:4])

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", interrupt)
    assert main(["report", "--watch", "7", str(tmp_path)]) == 0
    assert "stopped watching" in capsys.readouterr().err
    assert "http-equiv" not in (tmp_path / "report" / "report.html").read_text()
    assert [path.name for path in (tmp_path / "report").iterdir() if path.name[0] == "."] == []


def test_a_reader_never_sees_half_a_page(tmp_path: Path) -> None:
    toy.run(tmp_path, toy.config("walker_run", 0), toy.curve(500.0))
    report = runs_report([tmp_path])
    page = write_runs_report(report, tmp_path / "report")[0]
    writer = threading.Thread(target=write_runs_report, args=(report, page.parent))
    writer.start()
    while writer.is_alive():
        assert page.read_text().endswith("</html>\n")
        time.sleep(0.002)
    writer.join()
