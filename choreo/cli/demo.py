"""`choreo demo`."""

import json
import sys

import tyro
from rich.console import Console
from rich.table import Column, Table

from choreo.cli.measure import printed_table
from choreo.demo import DemoConfig, DemoResult, run_demo
from choreo.report.verdicts import headline_table
from choreo.runtime import keep_memory
from choreo.stopping import Stopped


def demo(arguments: list[str]) -> None:
    """`choreo demo`."""
    config = tyro.cli(DemoConfig, args=arguments, prog="choreo demo")
    keep_memory()
    try:
        result = run_demo(config)
    except Stopped as stop:
        text = f"stopped; the same command goes on from what is saved in {config.run_dir}"
        raise Stopped(stop.number, text) from stop
    if config.json:
        print(json.dumps(result.to_json()))
        return
    console = Console(file=sys.stdout)
    goals = [_goal_table(result)] if result.goals else []
    console.print(_skill_table(result), *goals, _task_table(result))
    minutes = ", ".join(f"{name} {value:.1f}" for name, value in result.minutes.items())
    print(f"minutes: {minutes}\nreport: {result.page.absolute()}")


def _skill_table(result: DemoResult) -> Table:
    return printed_table(headline_table(result.report), "Skills learned without rewards")


def _goal_table(result: DemoResult) -> Table:
    task = Column("task", overflow="fold")
    head = (task, "chosen skill", "its return", "all skills", "random actions")
    table = Table(*head, title="Tasks without any training: the skill that imagination chose")
    for name, goal in result.goals.items():
        returns = (goal.chosen, goal.every, goal.chance)
        table.add_row(name, str(goal.skill), *(f"{found.mean:.0f}" for found in returns))
    return table


def _task_table(result: DemoResult) -> Table:
    table = Table("", "mean return", "95% interval", title="The task, at equal frames")
    for name, evaluation in result.returns.items():
        interval = evaluation.interval95
        shown = "-" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}"
        table.add_row(name, f"{evaluation.mean:.1f}", shown)
    return table
