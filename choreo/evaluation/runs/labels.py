"""What runs are called: task, domain and method, and the order in which they are shown."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from choreo.envs.make import DOMAIN_TASKS, GOAL_DOMAIN, URLB_TASKS
from choreo.evaluation.runs.run import RANDOM, SCRATCH

ALIASES = {
    "from-scratch": SCRATCH,
    "from scratch": SCRATCH,
    "from_scratch": SCRATCH,
    "random-actions": RANDOM,
    "random actions": RANDOM,
    "random_actions": RANDOM,
}
TITLES = {SCRATCH: "from scratch", RANDOM: "random actions"}
ORDER = ("full", "skills", "skills frozen", "frozen", "explorer", "model")
"""Methods that come first; others follow by name, then the two controls."""
_DOMAINS = ("jaco_fixed", *DOMAIN_TASKS, GOAL_DOMAIN)


def method_of(config: Mapping[str, Any]) -> str:
    """Name of the method of a run by its options."""
    if config.get("command") == "finetune":
        start = config.get("start") or "skills"
        start = SCRATCH if config.get("from_scratch") else str(start)
        frozen = config.get("freeze_skills") and start == "skills"
        return f"{start} frozen" if frozen else start
    return str(config.get("exploration.kind") or config.get("command"))


def canonical(method: str) -> str:
    """The name of a method however it is spelled."""
    return ALIASES.get(method.strip().lower(), method.strip())


def base_of(method: str) -> str:
    """A method without the amount of pre-training that tells it from others of its name."""
    return method.partition(" @ ")[0]


def title(method: str) -> str:
    """A method as a reader sees it."""
    base = base_of(method)
    return TITLES.get(base, base) + method.removeprefix(base)


def domain_of(task: str) -> str:
    """The domain that a task belongs to: walker of walker_run, cheetah of dmc:cheetah-run."""
    for domain in _DOMAINS:
        if task == domain or task.startswith(f"{domain}_"):
            return domain
    if task == "mw" or task.startswith("mw_"):
        return "metaworld"
    if task.startswith("dmc:"):
        return task.removeprefix("dmc:").split("-")[0]
    return task


def task_key(task: str) -> tuple[int, str, str]:
    """Sorts tasks: those of the benchmark in its order, then all others by domain and name.

    A domain alone stands before its tasks.
    """
    domain, order = domain_of(task), list(map(domain_of, URLB_TASKS))
    place = order.index(domain) if domain in order else len(order)
    return place, domain, task if task not in URLB_TASKS else f"{URLB_TASKS.index(task):02d}"


def method_key(method: str) -> tuple[int, str, int]:
    """Sorts methods: known ones, others, from scratch, random actions; numbers in names count."""
    base, _, extra = method.partition(" @ ")
    places = {name: place for place, name in enumerate(ORDER)}
    places |= {SCRATCH: len(ORDER) + 1, RANDOM: len(ORDER) + 2}
    digits = re.sub(r"\D", "", extra)
    plain = re.sub(r"[-_]", " ", base)
    return places.get(plain, len(ORDER)), base, int(digits or 0)


def sorted_domains(tasks: Iterable[str], domains: Mapping[str, str]) -> list[str]:
    """The domains of some tasks, in the order of their first one."""
    return list(dict.fromkeys(domains[task] for task in sorted(tasks, key=task_key)))
