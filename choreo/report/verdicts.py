"""The skill report's figures in plain sentences and a table, judged by `rules`."""

from collections.abc import Mapping
from dataclasses import dataclass

from choreo.evaluation.choices import Choices
from choreo.evaluation.codes import CodeUse
from choreo.evaluation.conditions import CONDITIONS
from choreo.evaluation.critic import CriticCheck
from choreo.evaluation.health import SkillReport
from choreo.evaluation.model_error import ModelError
from choreo.record.health import hopeful_critic
from choreo.report import rules
from choreo.viz import Table, Tone, Verdict

CONTROLS = {
    "random": "random actions",
    "untrained": "the same agent untrained",
}
AHEAD = (1, 15)  # steps ahead at which the model is judged
RECORDED, PLAYED = "recorded experience", "this report"
COLUMNS = ("", "trained skills", "", "untrained agent", "random actions", "chance or lazy guess")


def coverage_verdict(report: SkillReport) -> Verdict:
    """Cells visited by trained skills against each control."""
    own = report.coverage.visited["trained"]
    against = [_times(own, report.coverage.visited[k], text) for k, text in CONTROLS.items()]
    return Verdict(
        _coverage_tone(report), f"Trained skills visit {own:,} cells: {'; '.join(against)}."
    )


def _coverage_tone(report: SkillReport) -> Tone:
    visited = report.coverage.visited
    return rules.coverage_tone(visited["trained"], [visited[name] for name in CONTROLS])


def _times(own: int, control: int, text: str) -> str:
    ratio = own / max(control, 1)
    if abs(ratio - 1) < rules.ALIKE:
        return f"about as many as {text} ({control:,})"
    if ratio < 1:
        return f"fewer than {text} ({control:,})"
    times = f"{ratio:.2f}" if ratio < rules.CLEARLY else f"{ratio:,.1f}"
    return f"{times} times as many as {text} ({control:,})"


def hit_verdict(report: SkillReport) -> Verdict:
    """Hit rate of trained skills against the controls and chance."""
    rates = report.hit_rate
    if rates["trained"] is None:
        skipped = "Not measured: no episode lasted longer than the 50 steps that are not counted."
        return Verdict("neutral", skipped)
    own = f"Trained skills are at their own code in {percent(rates['trained'])} of the steps"
    return _compare_shares(own, rates, report.chance)


def predictability_verdict(report: SkillReport) -> Verdict:
    """Predictability of trained skills against the controls and chance."""
    rates = _accuracy(report)
    seen = report.settings.seen_once
    own = f"From one {seen}, the trained skill is named right in {percent(rates['trained'])}"
    return _compare_shares(own, rates, report.chance)


def code_match_verdict(report: SkillReport) -> Verdict:
    """Whether decoded codes look like what their skills reach, against the controls and chance."""
    if report.code_match["trained"] is None:
        return Verdict("neutral", "Not measured: the agent sees no images.")
    own = (
        f"For {percent(report.code_match['trained'])} of the skills, the last picture of their "
        "episodes is more like the one drawn from their own code than like those of all other codes"
    )
    return _compare_shares(own, report.code_match, report.chance)


def switch_verdict(report: SkillReport) -> Verdict:
    """Hit rate where one skill starts from the end of another, against chance."""
    mean = report.switching.mean
    if mean is None:
        return Verdict("neutral", "Not measured: episodes ended before a second skill was judged.")
    own = f"Started where another skill ended, a skill is at its own code in {percent(mean)}"
    alone = f"of the steps; from the start of an episode in {percent(report.hit_rate['trained'])}"
    sentence = f"{own} {alone}, chance {percent(report.chance)}."
    return Verdict(_switch_tone(report), sentence)


def _switch_tone(report: SkillReport) -> Tone:
    return rules.share_tone(report.switching.mean, [report.chance])


def choice_verdict(choices: Choices) -> Verdict:
    """How many skills the meta-controller used, and for how long a choice stood."""
    first = choices.most_used[0]
    return Verdict(
        "neutral",
        f"{len(choices.most_used)} of {choices.skills} skills were chosen, most often skill "
        f"{first} ({percent(float(choices.share[first]))} of the steps); a choice stood for "
        f"{choices.held:,.1f} steps on average.",
    )


def critic_verdict(check: CriticCheck) -> Verdict:
    """Whether what the task's critic expects is what follows."""
    told = (
        f"The critic expected a discounted return of {check.expected:,.4g}; {check.found:,.4g} "
        f"followed (means over {check.steps:,} states)"
    )
    if hopeful_critic(check.expected, check.found) is None:
        return Verdict("good", f"{told}.")
    return Verdict("bad", f"{told}: it learns from a hope.")


def _accuracy(report: SkillReport) -> dict[str, float | None]:
    return {name: value.accuracy for name, value in report.predictability.items()}


def _share_tone(rates: Mapping[str, float | None], chance: float) -> Tone:
    return rules.share_tone(rates["trained"], [*(rates[name] for name in CONTROLS), chance])


def _compare_shares(own: str, rates: Mapping[str, float | None], chance: float) -> Verdict:
    """A sentence on a share, with both controls and chance."""
    against = ", ".join(f"{text} {percent(rates[name])}" for name, text in CONTROLS.items())
    tone, guess = _share_tone(rates, chance), percent(chance)
    if tone == "bad":
        return Verdict(tone, f"{own}, which is not above all of {against}, chance {guess}.")
    if tone == "neutral":
        return Verdict(tone, f"{own}, not twice as much as: {against}, chance {guess}.")
    return Verdict(tone, f"{own}; {against}, chance {guess}.")


def codebook_verdict(use: CodeUse, where: str, resampled: int | None = None) -> Verdict:
    """How much of the codebook is in use in what `where` names, and how many were replaced."""
    replaced = f"; {resampled:,} unused codes were replaced during training" if resampled else ""
    counted = f"over the last {use.counts.sum():,.0f} steps of {where}"
    return Verdict(_use_tone(use), f"{_in_use(use)} {counted}{replaced}.")


def _in_use(use: CodeUse) -> str:
    codes, used = len(use.counts), int((use.counts > 0).sum())
    return f"{used} of the {codes} codes are in use, as evenly as {use.perplexity:.1f} used alike,"


def _use_tone(use: CodeUse) -> Tone:
    return rules.codebook_tone(use.used, use.perplexity, len(use.counts))


def model_verdicts(error: ModelError | None) -> list[Verdict]:
    """The model's error one step ahead and some steps ahead."""
    return [model_verdict(error)] if error is None else [model_verdict(error, n) for n in AHEAD]


def model_verdict(error: ModelError | None, horizon: int = 15) -> Verdict:
    """The model's error against "nothing changes" and the untrained model, some steps ahead."""
    if error is None:
        return Verdict("neutral", "Not measured: the episodes are too short.")
    ahead = min(horizon, len(error.errors["trained"]))
    own, still, fresh = _errors_at(error, ahead)
    steps = "1 step" if ahead == 1 else f"{ahead} steps"
    sentence = (
        f"{steps} ahead the trained model's error is {_error(own)}; “nothing changes” makes "
        f"{_error(still)}, the untrained model {_error(fresh)}."
    )
    tone = rules.error_tone(own, still, fresh)
    if tone == "bad":
        sentence += " The model does not beat both, so imagination misleads."
    elif own >= 1:
        sentence += (
            " Always guessing the mean would make 1: so far ahead the model is sure of too much."
        )
    elif tone == "neutral":
        sentence += " That is hardly better, so imagination is not to be trusted much."
    return Verdict(tone, sentence)


def _errors_at(error: ModelError, ahead: int) -> tuple[float, float, float]:
    """Errors of the trained model, of "nothing changes" and of the untrained model."""
    own, still, fresh = (
        float(error.errors[name][ahead - 1]) for name in ("trained", "nothing_changes", "untrained")
    )
    return own, still, fresh


@dataclass(frozen=True)
class Row:
    """One figure of the table: its name, what stands in the columns, and how it is judged."""

    name: str
    cells: tuple[str, str, str, str]
    tone: Tone


def headline_rows(report: SkillReport) -> list[Row]:
    """The figures side by side, trained skills next to their controls."""
    accuracy, chance = _accuracy(report), report.chance
    told = f"Skill named right from one {report.settings.seen_once}"
    rows = [
        Row(
            "Cells visited by all skills",
            _cells({k: f"{v:,}" for k, v in report.coverage.visited.items()}, "-"),
            _coverage_tone(report),
        ),
        _share_row("Steps at the commanded code (hit rate)", report.hit_rate, chance),
        _switch_row(report),
        _share_row(told, accuracy, chance),
        *_use_rows(report),
    ]
    if report.code_match["trained"] is not None:
        rows.append(_share_row("Skills that end as their code looks", report.code_match, chance))
    if report.model_error is not None:
        lengths = len(report.model_error.errors["trained"])
        rows += [_model_row(report.model_error, n) for n in AHEAD if n <= lengths]
    return rows


def findings(report: SkillReport) -> list[Verdict]:
    """Every finding of the report in one sentence each, from the skills to the world model."""
    recorded = report.replay_code_use
    found = [coverage_verdict(report), hit_verdict(report), switch_verdict(report)]
    found.append(predictability_verdict(report))
    if report.code_match["trained"] is not None:
        found.append(code_match_verdict(report))
    if recorded is not None:
        found.append(codebook_verdict(recorded, RECORDED, report.resampled))
    found.append(codebook_verdict(report.code_use["trained"], PLAYED))
    found += _not_held(report)
    return [*found, *model_verdicts(report.model_error)]


def _not_held(report: SkillReport) -> list[Verdict]:
    """The skills that are at their own code no more often than chance, if there are any."""
    own = report.hits["trained"].diagonal()
    idle = [str(skill) for skill, rate in enumerate(own) if rate <= report.chance]
    if not idle:
        return []
    which = f"skill {idle[0]}" if len(idle) == 1 else f"skills {', '.join(idle)}"
    sentence = f"Not held, at their own code no more often than chance: {which}."
    return [Verdict("bad", sentence)]


def headline_table(report: SkillReport) -> Table:
    """The rows of `headline_rows`, each with the word for how it is judged."""
    rows = headline_rows(report)
    s = report.settings
    note = (
        f"Each column: {s.skills} skills x {s.episodes_per_skill} episodes x {s.episode_steps} "
        f"steps = {s.steps_each:,} environment steps from the same starts. Chance: what guessing "
        f"one of {s.skills} skills gives. Codes: how many are in use, and how many used alike "
        "would be as even. Prediction errors: less is better, 1 is always guessing the mean; the "
        "lazy guess is that nothing changes."
    )
    texts = [[r.name, r.cells[0], rules.FOUND[r.tone], *r.cells[1:]] for r in rows]
    return Table(COLUMNS, texts, note, strong=1, tones=[row.tone for row in rows])


def summary_verdict(report: SkillReport) -> Verdict:
    """How many figures are good, and which are bad or unclear."""
    rows = headline_rows(report)
    named = {tone: [row.name for row in rows if row.tone == tone] for tone in rules.FOUND}
    parts = [f"{len(named['good'])} of {len(rows)} figures are good."]
    if named["bad"]:
        parts.append(f"Bad: {'; '.join(named['bad'])}.")
    if named["neutral"]:
        parts.append(f"Unclear: {'; '.join(named['neutral'])}.")
    tone: Tone = "bad" if named["bad"] else "neutral" if named["neutral"] else "good"
    return Verdict(tone, " ".join(parts))


def _cells(values: Mapping[str, str], last: str) -> tuple[str, str, str, str]:
    trained, untrained, random = (values.get(name, "-") for name in CONDITIONS)
    return trained, untrained, random, last


def _share_row(name: str, values: Mapping[str, float | None], chance: float) -> Row:
    cells = {key: percent(value, "-") for key, value in values.items()}
    return Row(name, _cells(cells, percent(chance)), _share_tone(values, chance))


def _switch_row(report: SkillReport) -> Row:
    cells = {"trained": percent(report.switching.mean, "-")}
    return Row(
        "The same, started where another skill ended",
        _cells(cells, percent(report.chance)),
        _switch_tone(report),
    )


def _use_rows(report: SkillReport) -> list[Row]:
    """The use of the codes, over all that was recorded and in this report's own steps."""
    played = {name: _use(use) for name, use in report.code_use.items()}
    rows = [
        Row(f"Codes in use, {PLAYED}", _cells(played, "-"), _use_tone(report.code_use["trained"]))
    ]
    recorded = report.replay_code_use
    if recorded is not None:
        cells = _cells({"trained": _use(recorded)}, "-")
        rows.insert(0, Row(f"Codes in use, {RECORDED}", cells, _use_tone(recorded)))
    return rows


def _use(use: CodeUse) -> str:
    return f"{int((use.counts > 0).sum())} of {len(use.counts)} (as {use.perplexity:.1f})"


def _model_row(error: ModelError, ahead: int) -> Row:
    """The models' errors while trained skills act, and that of "nothing changes"."""
    own, still, fresh = _errors_at(error, ahead)
    steps = "1 step" if ahead == 1 else f"{ahead} steps"
    cells = (_error(own), _error(fresh), "-", _error(still))
    return Row(f"Prediction error {steps} ahead", cells, rules.error_tone(own, still, fresh))


def percent(share: float | None, missing: str = "not measured") -> str:
    """A share of 1 as a percentage."""
    if share is None:
        return missing
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def _error(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"
