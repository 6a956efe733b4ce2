"""Markdown table of several demonstrations: `python benchmarks/demo_table.py runs/demo-*`."""

import json
import sys
from pathlib import Path

CONTROLS = ("trained", "untrained", "random")


def main(runs: list[Path]) -> None:
    """Print one row a figure and seed."""
    found = [json.loads((run / "demo.json").read_text()) for run in runs]
    print("| figure | seed | trained skills | same agent untrained | random actions | chance |")
    print("|---|---|---|---|---|---|")
    for name, form in (("coverage", "{}"), ("hit_rate", "{:.1%}"), ("predictability", "{:.1%}")):
        for demo in found:
            figure, seed = demo["skills"][name], demo["skills"]["settings"]["seed"]
            values = [form.format(figure[key]) for key in CONTROLS]
            chance = f"{figure['chance']:.1%}" if "chance" in figure else "-"
            print(f"| {name} | {seed} | " + " | ".join([*values, chance]) + " |")
    print("\n| task | seed | mean return | 95% interval |\n|---|---|---|---|")
    for name in found[0]["task"]:
        for demo in found:
            result, seed = demo["task"][name], demo["skills"]["settings"]["seed"]
            low, high = result["interval95"]
            print(f"| {name} | {seed} | {result['mean']:.1f} | {low:.1f} to {high:.1f} |")
    for demo in found:
        print(demo["skills"]["settings"]["seed"], demo["minutes"])


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
