"""The skill report's figures in plain sentences; what is worse than a control is said so."""

from collections.abc import Mapping

from choreo.evaluation.codes import CodeUse
from choreo.evaluation.health import CONDITIONS, SkillReport
from choreo.evaluation.model_error import ModelError
from choreo.viz import Table, Verdict

CONTROLS = {
    "random": "random actions",
    "untrained": "the same agent untrained",
}
CLEARLY = 1.2  # how many times a control's figure a good one is at least [ours]
ALIKE = 0.05  # a ratio that is no further from 1 makes no difference [ours]


def coverage_verdicts(report: SkillReport) -> list[Verdict]:
    """Cells visited by trained skills against each control."""
    visited = report.coverage.visited
    own = visited["trained"]
    return [_compare_cells(own, visited[name], text) for name, text in CONTROLS.items()]


def _compare_cells(own: int, control: int, text: str) -> Verdict:
    ratio = own / max(control, 1)
    numbers = f"({own:,} against {control:,})"
    if abs(ratio - 1) < ALIKE:
        return Verdict("neutral", f"Trained skills visit about as many cells as {text} {numbers}.")
    if ratio < 1:
        worse = f"Trained skills visit fewer cells than {text} {numbers}: they explore less."
        return Verdict("bad", worse)
    times = f"{ratio:.2f}" if ratio < CLEARLY else f"{ratio:,.1f}"
    sentence = f"Trained skills visit {times} times as many cells as {text} {numbers}."
    return Verdict("good" if ratio >= CLEARLY else "neutral", sentence)


def hit_verdict(report: SkillReport) -> Verdict:
    """Hit rate of trained skills against the controls and chance."""
    rates = report.hit_rate
    if rates["trained"] is None:
        skipped = "Not measured: no episode lasted longer than the 50 steps that are not counted."
        return Verdict("neutral", skipped)
    own = f"Trained skills are at their own code in {_percent(rates['trained'])} of the steps"
    return _compare_shares(own, rates, report.chance)


def predictability_verdict(report: SkillReport) -> Verdict:
    """Predictability of trained skills against the controls and chance."""
    rates: Mapping[str, float | None] = {
        name: value.accuracy for name, value in report.predictability.items()
    }
    seen = report.settings.seen_once
    own = f"From one {seen}, the trained skill is named right in {_percent(rates['trained'])}"
    return _compare_shares(own, rates, report.chance)


def _compare_shares(own: str, rates: Mapping[str, float | None], chance: float) -> Verdict:
    """A sentence on a share, good only when it is clearly above both controls and chance."""
    others = [rates[name] or 0.0 for name in CONTROLS]
    against = ", ".join(f"{text} {_percent(rates[name])}" for name, text in CONTROLS.items())
    trained, guess = rates["trained"] or 0.0, _percent(chance)
    best = max(*others, chance)
    if trained <= best:
        return Verdict("bad", f"{own}, which is not above all of {against}, chance {guess}.")
    if trained < CLEARLY * best:
        return Verdict("neutral", f"{own}, barely above: {against}, chance {guess}.")
    return Verdict("good", f"{own}; {against}, chance {guess}.")


def codebook_verdict(use: CodeUse, where: str, resampled: int) -> Verdict:
    """How much of the codebook is in use in what `where` names."""
    codes = len(use.counts)
    sentence = (
        f"{use.used:.0%} of the {codes} codes are in use over the last {use.counts.sum():,.0f} "
        f"steps of {where}, as evenly as {use.perplexity:.1f} codes used alike; "
        f"{resampled:,} unused codes were replaced during training."
    )
    even = use.perplexity / codes
    return Verdict("good" if use.used >= 0.9 and even >= 0.5 else "neutral", sentence)


def model_verdict(error: ModelError | None, horizon: int = 15) -> Verdict:
    """The model's error against "nothing changes" and the untrained model, some steps ahead."""
    if error is None:
        return Verdict("neutral", "Not measured: the episodes are too short.")
    errors = error.errors
    ahead = min(horizon, len(errors["trained"]))
    own, still, fresh = (
        float(errors[name][ahead - 1]) for name in ("trained", "nothing_changes", "untrained")
    )
    sentence = (
        f"{ahead} steps ahead the trained model's error is {_error(own)}; “nothing changes” makes "
        f"{_error(still)}, the untrained model {_error(fresh)}."
    )
    if own >= min(still, fresh):
        return Verdict("bad", f"{sentence} The model does not beat both, so imagination misleads.")
    if own >= 1:
        mean = "Always guessing the mean would make 1: so far ahead the model is sure of too much."
        return Verdict("neutral", f"{sentence} {mean}")
    return Verdict("good", sentence)


def code_match_verdict(report: SkillReport) -> Verdict:
    """Whether decoded codes look like what their skills reach, against the controls and chance."""
    if report.code_match["trained"] is None:
        return Verdict("neutral", "Not measured: the agent sees no images.")
    own = (
        f"For {_percent(report.code_match['trained'])} of the skills, the last picture of their "
        "episodes is more like the one drawn from their own code than like those of all other codes"
    )
    return _compare_shares(own, report.code_match, report.chance)


def headline_table(report: SkillReport) -> Table:
    """The figures side by side, trained skills next to their controls."""
    rows = [
        _row("Cells visited by all skills", report.coverage.visited, None, "{:,.0f}"),
        _row("Steps at the commanded code (hit rate)", report.hit_rate, report.chance),
        _row(
            f"Skill named right from one {report.settings.seen_once}",
            {name: value.accuracy for name, value in report.predictability.items()},
            report.chance,
        ),
        _row("Codes in use", {n: use.used for n, use in report.code_use.items()}, None),
    ]
    if report.model_error is not None:
        rows += [_model_row(report, horizon) for horizon in (1, 15)]
    s = report.settings
    note = (
        f"Each column: {s.skills} skills x {s.episodes_per_skill} episodes x {s.episode_steps} "
        f"steps = {s.steps_each:,} environment steps from the same starts. Chance: what guessing "
        f"one of {s.skills} skills gives. Prediction errors: less is better, 1 is always guessing "
        "the mean; the lazy guess is that nothing changes."
    )
    columns = ("", "trained skills", "untrained agent", "random actions", "chance or lazy guess")
    return Table(columns, rows, note, strong=1)


def _row(
    name: str, values: Mapping[str, float | None], chance: float | None, form: str = ""
) -> list[str]:
    def show(value: float | None) -> str:
        if value is None:
            return "-"
        return form.format(value) if form else _percent(value)

    return [name, *(show(values[key]) for key in CONDITIONS), show(chance)]


def _model_row(report: SkillReport, horizon: int) -> list[str]:
    """The models' errors while trained skills act, and that of "nothing changes"."""
    assert report.model_error is not None
    errors = report.model_error.errors
    texts = [
        _error(float(errors[key][horizon - 1])) if horizon <= len(errors[key]) else "-"
        for key in ("trained", "untrained", "nothing_changes")
    ]
    steps = "1 step" if horizon == 1 else f"{horizon} steps"
    return [f"Prediction error {steps} ahead", texts[0], texts[1], "-", texts[2]]


def _percent(share: float | None) -> str:
    if share is None:
        return "not measured"
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def _error(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"
