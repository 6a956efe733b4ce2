"""`choreo bench`: what updates, acting, sampling and environments cost on this machine."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import tyro
from rich.console import Console
from rich.table import Table

from choreo.bench.act import ActBenchConfig, ActCost, bench_act
from choreo.bench.env import EnvBenchConfig, EnvRates, bench_env
from choreo.bench.replay import ReplayBenchConfig, ReplayRates, bench_replay
from choreo.bench.scaling import ScalingBenchConfig, ScalingCost, bench_scaling, curves_of
from choreo.bench.throughput import ThroughputBenchConfig, ThroughputRates, bench_throughput
from choreo.bench.update import UpdateBenchConfig, UpdateCost, bench_update
from choreo.bench.workload import BenchConfig, Report
from choreo.cli.train import option, parse
from choreo.errors import StorageError, UsageError
from choreo.presets import apply_preset
from choreo.runtime import keep_memory

Config = TypeVar("Config", bound=BenchConfig)
Cost = UpdateCost | ActCost | ReplayRates | EnvRates | ScalingCost | ThroughputRates


def bench(arguments: list[str]) -> None:
    """`choreo bench update|act|replay|env|scaling|throughput`."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean `choreo bench {near[0]}`?" if near else "`choreo bench --help` lists."
        raise UsageError(f"unknown command 'bench {name}'; {hint}")
    keep_memory()
    COMMANDS[name][0](rest)


def usage() -> str:
    """The list of measurements."""
    rows = "\n".join(f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items())
    return (
        "What things cost on this machine.\n\n"
        f"usage: choreo bench COMMAND [OPTIONS]\n\n{rows}\n\n"
        "`choreo bench COMMAND --help` explains the options of a command; --json prints JSON."
    )


def update(arguments: list[str]) -> None:
    """`choreo bench update`."""
    config = _parse(UpdateBenchConfig(), arguments)
    cost = bench_update(config)
    _tell(cost, config.json, lambda: update_table(cost))


def act(arguments: list[str]) -> None:
    """`choreo bench act`."""
    config = _parse(ActBenchConfig(), arguments)
    cost = bench_act(config)
    _tell(cost, config.json, lambda: act_table(cost))


def replay(arguments: list[str]) -> None:
    """`choreo bench replay`."""
    config = _parse(ReplayBenchConfig(), arguments)
    rates = bench_replay(config)
    _tell(rates, config.json, lambda: replay_table(rates))


def env(arguments: list[str]) -> None:
    """`choreo bench env`."""
    config = tyro.cli(EnvBenchConfig, args=arguments, prog="choreo bench env")
    rates = bench_env(config)
    _tell(rates, config.json, lambda: env_table(rates))


def scaling(arguments: list[str]) -> None:
    """`choreo bench scaling`."""
    config = _parse(ScalingBenchConfig(), arguments)
    if config.plot is not None and not config.plot.parent.is_dir():
        raise UsageError(f"--plot {config.plot}: there is no folder {config.plot.parent}; make it")
    cost = bench_scaling(config)
    _tell(cost, config.json, lambda: scaling_table(cost))
    if config.plot is not None:
        _draw(cost, config.plot)


def throughput(arguments: list[str]) -> None:
    """`choreo bench throughput`."""
    config = _parse(ThroughputBenchConfig(), arguments)
    if option(arguments, "threads") is None:  # those of a preset are for a run that is alone
        config = replace(config, threads=ThroughputBenchConfig.threads)
    rates = bench_throughput(config)
    _tell(rates, config.json, lambda: throughput_table(rates))


COMMANDS: dict[str, tuple[Callable[[list[str]], None], str]] = {
    "update": (update, "time of an update by part, memory, and how far from the machine's limit"),
    "act": (act, "milliseconds from an observation to an action"),
    "replay": (replay, "batches per second from a replay of a given size"),
    "env": (env, "frames per second of environments, alone and several at once"),
    "scaling": (scaling, "time of an update against batch, length, horizon, starts and codes"),
    "throughput": (throughput, "updates per second of several processes on one device"),
}


def _parse(default: Config, arguments: list[str]) -> Config:
    """Options on top of the preset they name, or of the default one."""
    named = option(arguments, "preset") is not None
    return parse(default if named else apply_preset(default, default.preset), arguments)


def _tell(cost: Cost, as_json: bool, table: Callable[[], Table]) -> None:
    if as_json:
        print(json.dumps(cost.to_json()))
    else:
        Console(file=sys.stdout).print(table())


def _draw(cost: ScalingCost, path: Path) -> None:
    from choreo.viz.plots import cost_curves  # it brings the plotting libraries

    try:
        path.write_bytes(cost_curves({growth.size: curves_of(growth) for growth in cost.growths}))
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}") from error


def _where(report: Report) -> str:
    """Machine, device and settings in words."""
    return (
        f"{report.machine}; {report.device}, {report.precision}, {report.mode}, "
        f"{report.threads} threads"
    )


def update_table(cost: UpdateCost) -> Table:
    """Milliseconds of the parts of an update."""
    table = Table("part", "ms", title=f"one update, preset {cost.preset}, {cost.phase}")
    for name, value in cost.parts.items():
        table.add_row(name, f"{value:.1f}")
    low, high = cost.quartiles
    table.add_row("whole update", f"{cost.ms_per_update:.1f} (half: {low:.1f} to {high:.1f})")
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in cost.matrix_rates.items() if rate)
    table.caption = (
        f"{cost.updates_per_second:.2f} updates/s, {cost.samples_per_second:.0f} samples/s, "
        f"{cost.peak_memory_gb:.2f} GB; {_where(cost)}; {cost.flops_per_update / 1e9:.1f} GFLOP at "
        f"{cost.fraction_of_limit:.0%} of {cost.matrix_gflops:.0f} GFLOP/s (products here: {rates})"
    )
    if cost.work is not None:
        table.caption += (
            f"; {cost.work.launches} launches of {cost.work.kernels} kernels, busy for "
            f"{cost.work.busy:.0%} of the time"
        )
    return table


def act_table(cost: ActCost) -> Table:
    """Milliseconds of acting."""
    heads = ("policy", "environments", "ms", "95% below", "actions/s")
    table = Table(*heads, title=f"acting, preset {cost.preset}, from {cost.obs}")
    for row in cost.rows:
        times = (f"{row.ms:.2f}", f"{row.ms_p95:.2f}", f"{row.actions_per_second:.0f}")
        table.add_row(row.policy, str(row.environments), *times)
    table.caption = f"{cost.calls} calls; {_where(cost)}"
    return table


def replay_table(rates: ReplayRates) -> Table:
    """Batches per second."""
    size = f"{rates.sizes['batch']} x {rates.sizes['length']}"
    title = f"batches of {size} from {rates.obs}, {rates.content}"
    heads = ("pages", "steps", "GB", "batches/s", "MB/s", "ms per batch", "of an update")
    table = Table(*heads, title=title, caption=_where(rates))
    for row in rates.rows:
        share = "-" if row.percent_of_update is None else f"{row.percent_of_update:.1f}%"
        found = (row.batches_per_second, row.megabytes_per_second)
        numbers = [f"{row.steps:,}", f"{row.gigabytes:.2f}", *(f"{value:.0f}" for value in found)]
        table.add_row(row.state, *numbers, f"{row.ms_per_batch:.2f}", share)
    return table


def env_table(rates: EnvRates) -> Table:
    """Frames per second; a row for what is seen of an environment, a column for every count."""
    counts = sorted({row.count for row in rates.rows})
    table = Table("environment", "sees", *map(str, counts), title="frames per second")
    for name, what in dict.fromkeys((row.env, row.what) for row in rates.rows):
        own = {row.count: row for row in rates.rows if (row.env, row.what) == (name, what)}
        shown = [own[count].frames_per_second for count in counts]
        table.add_row(name, what, *("failed" if rate is None else f"{rate:.0f}" for rate in shown))
    failures = {row.failure for row in rates.rows if row.failure is not None}
    table.caption = "; ".join((f"{rates.machine}; columns: environments at once", *failures))
    return table


def scaling_table(cost: ScalingCost) -> Table:
    """Milliseconds at every value, and under them the exponents of their growth."""
    names = list(cost.growths[0].points[0].parts) if cost.growths else []
    heads = (name.replace("_", " ") for name in names)
    table = Table("size", "value", "update", *heads, "GFLOP")
    table.title = f"ms of an update, preset {cost.preset}, {cost.phase}"
    for growth in cost.growths:
        for point in growth.points:
            times = (point.ms_per_update, *(point.parts[name] for name in names))
            operations = f"{point.flops_per_update / 1e9:.2f}"
            cells = (*(f"{value:.1f}" for value in times), operations)
            table.add_row(growth.size, f"{point.value:,}", *cells)
        slopes = [growth.exponents[name] for name in ("update", *names, "flops")]
        shown = ("-" if slope is None else f"^{slope:.2f}" for slope in slopes)
        table.add_row("", "growth", *shown, end_section=True)
    table.caption = (
        f"growth ^1 is linear, ^2 quadratic; {cost.updates} updates each; {_where(cost)}"
    )
    return table


def throughput_table(rates: ThroughputRates) -> Table:
    """Updates per second of processes together."""
    heads = ("processes", "updates/s together", "each", "speed-up", "GB")
    table = Table(*heads, title=f"updates at the same time, preset {rates.preset}, {rates.phase}")
    for row in rates.rows:
        each = row.updates_per_second_each
        memory = row.memory_gb if row.device_memory_gb is None else row.device_memory_gb
        table.add_row(
            str(row.processes),
            f"{row.updates_per_second:.2f}",
            f"{min(each):.2f} to {max(each):.2f}",
            "-" if row.speedup is None else f"{row.speedup:.2f}",
            f"{memory:.2f}",
        )
    table.caption = f"{_where(rates)} each"
    return table
