"""The model card of a pack: README.md with the fields that model hubs read."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from choreo.agent import Agent
from choreo.envs.make import list_environments, names_code
from choreo.record import pack
from choreo.report.provenance import Provenance
from choreo.viz import Section, Table, Verdict
from choreo.viz.markdown import to_markdown

TAGS = ("reinforcement-learning", "world-model", "unsupervised-skill-discovery", "choreographer")


@dataclass(frozen=True)
class Health:
    """What was measured: findings, and beside controls a table where there was an environment."""

    table: Table | None
    verdicts: Sequence[Verdict]
    environment: str | None = None
    """Where the skills were played."""
    skill: int = 0
    """The skill that is held best, which the commands of the card show."""


@dataclass(frozen=True)
class CardContent:
    """All that a card tells."""

    agent: Agent
    about: Provenance
    health: Health
    versions: Mapping[str, str]
    warnings: Sequence[str]
    """Names of what training warned of at its end."""
    license: str
    address: str
    """Where the commands of the card say that the pack is."""
    filmed: bool


def card_text(content: CardContent) -> str:
    """The whole of README.md."""
    agent, about = content.agent, content.about
    title = f"{about.environment}: {agent.num_skills} skills"
    body = to_markdown(title, about.lead(agent.num_skills, None), _sections(content))
    return f"{_fields(content)}\n{body}\n{_use(content)}\n{_files(content)}"


def _fields(content: CardContent) -> str:
    """What hubs read, as YAML; every text is quoted as JSON, which YAML reads too."""
    tags = [*TAGS, content.about.environment]
    lines = [
        "library_name: choreo",
        f"license: {json.dumps(content.license)}",
        "pipeline_tag: reinforcement-learning",
        "tags:",
        *(f"- {json.dumps(tag)}" for tag in tags),
    ]
    return "\n".join(["---", *lines, "---", ""])


def _sections(content: CardContent) -> list[Section]:
    failures = [one for one in content.health.verdicts if one.tone != "good"]
    failures += [Verdict("bad", f"Training ended with the warning: {w}.") for w in content.warnings]
    health: list[Verdict] = [one for one in content.health.verdicts if one.tone == "good"]
    table = content.health.table
    text = "Measured when the pack was made, beside two controls: the same agent before training, "
    text += "and random actions."
    if table is None:
        text = "Measured on recorded data, as no environment was at hand."
    return [
        Section("What it is", "", (), [_what(content)]),
        Section("What goes in and comes out", _period(content.agent), (), _shapes(content.agent)),
        Section("Health", text, health, [table] if table else []),
        Section("Known failures", "" if failures else "None among these figures.", failures),
    ]


def _what(content: CardContent) -> Table:
    """How it was made, a row each."""
    about, agent = content.about, content.agent
    steps = None
    if about.counted == "frames" and about.count is not None:
        steps = f"{about.count // agent.spec.action_repeat:,}"
    rows = {
        "Environment": about.environment,
        "Agent": _kind(about),
        "Trained for": about.trained_for,
        "Steps (decisions)": steps,
        "Action repeat": f"{agent.spec.action_repeat} frames per step",
        "Preset": about.preset,
        "Seed": about.seed,
        "Hours of training": None if about.hours is None else f"{about.hours:.2g}",
        "Came from": about.source,
        "Explored by": about.explored_by,
        "Versions": ", ".join(f"{name} {version}" for name, version in content.versions.items()),
    }
    known = [(name, str(value)) for name, value in rows.items() if value not in (None, "")]
    return Table(("of what", ""), known)


def _kind(about: Provenance) -> str:
    row = next(row for row in about.table().rows if row[0] == "Agent")
    return row[1]


def _period(agent: Agent) -> str:
    seconds = agent.spec.step_seconds
    if seconds is None:
        return "The simulator tells no time, so the control rate is not known."
    return f"One action every {seconds:.4g} s of the simulator."


def _shapes(agent: Agent) -> list[Table]:
    """Observations, and actions with their bounds."""
    spec = agent.spec
    rows = [
        (f"observation `{name}`", f"{array.dtype} {list(array.shape)}", _unit(array.is_image))
        for name, array in spec.observations.items()
    ]
    low, high = min(spec.action_low), max(spec.action_high)
    same = len({*spec.action_low}) == len({*spec.action_high}) == 1
    bounds = f"{low:.4g} to {high:.4g}" if same else f"each its own, {low:.4g} to {high:.4g} in all"
    rows.append(("action", f"float32 [{spec.action_size}]", f"{bounds}, in its own units"))
    rows.append(("skill", "integer", f"0 to {agent.num_skills - 1}"))
    return [Table(("", "type and shape", "values"), rows)]


def _unit(image: bool) -> str:
    return "0 to 255, channels first" if image else "as the environment gives them"


def _use(content: CardContent) -> str:
    """Three commands, and the same in Python."""
    address, env = shlex.quote(content.address), content.health.environment
    task = "ENVIRONMENT" if env is None else shlex.quote(_task(env))
    trained = content.agent.spec.id
    unknown = env is None or names_code(trained) or trained != env
    own = f" --env {'ENVIRONMENT' if env is None else shlex.quote(env)}" if unknown else ""
    skill = content.health.skill
    extra = "choreo[hub]" if content.address.startswith("hf:") else "choreo"
    return f"""## Use it

`pip install '{extra}'`, then:

```bash
choreo skills {address}{own}
choreo evaluate {address}{own} --skill {skill} --video skill{skill}.mp4
choreo finetune --from {address} --env {task} --run-dir runs/tuned
```

```python
import choreo

agent = choreo.load({json.dumps(content.address)})
session = agent.session()
action = session.act_in_units(observation, skill={skill})
```
"""


def _task(env: str) -> str:
    """The first task of a domain; anything else as it is."""
    known = [name for names in list_environments().values() for name in names]
    return next((name for name in known if name.startswith(f"{env}_")), env)


def _files(content: CardContent) -> str:
    film = f" `{pack.FILM}` shows skills side by side." if content.filmed else ""
    return (
        "## Files\n\n"
        f"`{pack.TENSORS}` and `{pack.STATE}` are the networks that act, without optimiser and "
        f"recorded experience. `{pack.PAGE}` and `{pack.FIGURES}` are the skill report.{film} "
        f"`{pack.LISTING}` holds a hash of every file; a pack with another byte is refused.\n"
    )
