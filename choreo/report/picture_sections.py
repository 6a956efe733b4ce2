"""The parts of the skill report that only agents with images have: what the model draws."""

from collections.abc import Sequence

import numpy as np

from choreo.agent import Agent
from choreo.evaluation.episode import Episode
from choreo.evaluation.health import SkillReport
from choreo.evaluation.pictures import AHEAD, SEEN, open_loop_pictures, reached_pictures
from choreo.evaluation.windows import cut_windows, longest_run
from choreo.report.verdicts import code_match_verdict
from choreo.viz import (
    Card,
    Comparison,
    Picture,
    Section,
    Verdict,
    Video,
    card_sheet,
    comparison_film,
    comparison_strip,
    encode_video,
)

COMPARED = 4  # episodes in the film of model and truth [ours]
STRIPS = 2  # of them in the strip [ours]
FPS = 8  # slow enough to compare [ours]


def picture_sections(report: SkillReport, agent: Agent) -> list[Section]:
    """Truth beside model, and decoded codes beside what skills reach; none without images."""
    if not agent.spec.images:
        return []
    episodes, seed = report.episodes["trained"], report.settings.seed
    return [open_loop_section(agent, episodes, seed), _code_section(report, agent)]


def open_loop_section(agent: Agent, episodes: Sequence[Episode], seed: int) -> Section:
    """Films of truth, model and difference for some of the episodes."""
    title = "What the model expects to see"
    text = (
        f"The model watches {SEEN} steps of an episode; its pictures there (green frame) show how "
        "much of what it sees it can draw again. Then it sees nothing more and draws what it "
        "expects from the actions alone (orange frame). The difference is black where model and "
        "truth agree. The episodes were not picked by how well they turned out."
    )
    compared = compare_open_loop(agent, episodes, seed)
    if not compared:
        return Section(title, text, [Verdict("neutral", "Not shown: the episodes are too short.")])
    film = encode_video(comparison_film(compared), FPS)
    strip = comparison_strip(compared[:STRIPS])
    content = [
        Video(film, f"{len(compared)} episodes, slower than in real time."),
        Picture(strip, "The same for some moments, with how many steps ahead the model predicts."),
    ]
    return Section(title, text, content=content)


def compare_open_loop(
    agent: Agent, episodes: Sequence[Episode], seed: int, count: int = COMPARED
) -> list[Comparison]:
    """Truth and model for `count` evenly chosen episodes with enough images, fewer if there are."""
    wanted = min(SEEN + AHEAD, longest_run(episodes))
    long = [episode for episode in episodes if longest_run([episode]) >= wanted]
    if wanted <= SEEN or not long:
        return []
    compared = []
    for place in np.linspace(0, len(long) - 1, min(count, len(long))).round().astype(np.int64):
        window = cut_windows([long[place]], wanted)[0]
        drawn = open_loop_pictures(agent, window, seed)
        skill = long[place].skill
        label = f"sequence {place + 1}" if skill is None else f"skill {skill}"
        compared.append(Comparison(label, drawn.truth, drawn.model, drawn.seen))
    return compared


def _code_section(report: SkillReport, agent: Agent) -> Section:
    text = (
        "Each skill is told to bring about one code. The model can draw what it takes that code to "
        "look like (left); beside it are real pictures: the moment at which the agent believed "
        "itself nearest to the code (middle), and how the skill's first episode ended (right)."
    )
    cards = [
        Card(f"skill {reached.skill}", (reached.imagined, reached.nearest, reached.end))
        for reached in reached_pictures(agent, report.episodes["trained"])
    ]
    sheet = card_sheet(cards, ("drawn", "nearest", "end"))
    caption = "Drawn from the code by the model; nearest moment; end of an episode."
    verdicts = [code_match_verdict(report)]
    return Section("What the codes look like", text, verdicts, [Picture(sheet, caption)])
