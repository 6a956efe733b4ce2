"""What the world model draws: its codes, and episodes that it predicts without looking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from choreo.agent import Agent
from choreo.errors import UsageError
from choreo.evaluation.episode import Episode
from choreo.evaluation.windows import Window, to_batch
from choreo.nn import one_hot_straight_through, uniform_for
from choreo.world_model import State

SEEN = 5  # steps that the model sees of an open-loop video [ours; DreamerV2's videos]
AHEAD = 45  # steps that it then predicts [ours; DreamerV2's videos]


@torch.no_grad()
def code_pictures(agent: Agent, generator: torch.Generator | None = None) -> np.ndarray:
    """What every code looks like to the model, (K, H, W, 3) uint8; several cameras side by side.

    code -> h = D(code) -> prior p(s | h) -> [s, h] -> decoder. s is the likeliest class of every
    variable, or with a generator a sample.

    Raises UsageError for an agent that sees no images.
    """
    model, deter = agent.world_model, agent.skills.decoded_codes()
    logit = model.rssm.prior_logits(deter)
    if generator is None:
        likeliest = torch.nn.functional.one_hot(logit.argmax(-1), logit.shape[-1])
        stoch = likeliest.to(logit.dtype)
    else:
        stoch = one_hot_straight_through(logit, uniform_for(logit, generator))
    return _drawn(agent, model.decode(State(deter, stoch, logit).feat))


@dataclass(frozen=True)
class OpenLoop:
    """Pictures (T, H, W, 3) uint8 of what happened and of what the model drew.

    The model saw the first `seen` steps, whose pictures are reconstructions; of the others it knew
    only the actions.
    """

    truth: np.ndarray
    model: np.ndarray
    seen: int


@torch.no_grad()
def open_loop_pictures(
    agent: Agent, window: Window, seed: int, seen: int = SEEN, ahead: int = AHEAD
) -> OpenLoop:
    """Let the model see `seen` steps of a window and predict `ahead` more, fewer if it is short.

    Raises UsageError for an agent that sees no images.
    """
    steps = min(seen + ahead, len(window["action"]))
    batch = to_batch(agent, [{key: value[:steps] for key, value in window.items()}])
    model = agent.world_model
    head = {key: value[:, :seen] for key, value in batch.observation.items()}
    actions, first = batch.action[:, :seen], batch.is_first[:, :seen]
    posterior, _ = model.rssm.observe(model.embed(head), actions, first, _generator(agent, seed))
    seen_again = _drawn(agent, _row(model.decode(posterior.feat)))
    # The same random stream: prediction starts from the state reconstructed last.
    predicted = _drawn(agent, _row(model.open_loop(batch, seen, _generator(agent, seed))))
    truth = side_by_side({key: window[key][:steps] for key in _keys(agent)})
    return OpenLoop(truth, np.concatenate([seen_again, predicted]), seen)


@dataclass(frozen=True)
class Reached:
    """One skill's code as the model draws it, beside what the skill reaches; (H, W, 3) uint8."""

    skill: int
    imagined: np.ndarray
    nearest: np.ndarray
    end: np.ndarray


def reached_pictures(agent: Agent, episodes: Sequence[Episode]) -> list[Reached]:
    """Of every skill: its decoded code, the moment nearest to it, and how an episode ends.

    Nearest is, over all its episodes, where the model's state is least far from the decoded code;
    the end is that of its first episode. Skills without episodes are left out.
    """
    found = []
    for skill, imagined in enumerate(code_pictures(agent)):
        own = [e for e in episodes if e.skill == skill and len(e.image_steps)]
        if own:
            best = min(own, key=lambda e: float(_kept_distances(e).min()))
            moment = int(best.image_steps[_kept_distances(best).argmin()])
            end = int(own[0].image_steps[-1])
            found.append(Reached(skill, imagined, _picture(best, moment), _picture(own[0], end)))
    return found


def measure_code_match(agent: Agent, episodes: Sequence[Episode]) -> float | None:
    """Share of the skills whose episodes end at a picture like the one drawn from their own code.

    That is, whose last picture, on average over episodes, is less far from that of their own code
    than from that of any other, pixel by pixel. None for agents that see no images.
    """
    if not agent.spec.images:
        return None
    codes = _levels(code_pictures(agent))
    gaps = np.zeros((agent.num_skills, agent.num_skills))  # of skills (rows) to codes
    for episode in episodes:
        if len(episode.image_steps):
            end = _levels(_picture(episode, int(episode.image_steps[-1]))[None])
            gaps[episode.skill] += ((end - codes) ** 2).mean(1) / len(episodes)
    seen = gaps.any(1)  # without pictures of its own a skill is not right
    return float((seen & (gaps.argmin(1) == np.arange(len(gaps)))).mean())


def side_by_side(images: Mapping[str, np.ndarray]) -> np.ndarray:
    """Raw images of several cameras (n, C, H, W) uint8 as pictures (n, H, W of all, 3).

    One channel is shown as grey; of stacked pictures the last three channels are shown.
    """
    height = max(image.shape[2] for image in images.values())
    shown = []
    for image in images.values():
        channels = image[:, -3:] if image.shape[1] >= 3 else image[:, [-1, -1, -1]]
        below = ((0, 0), (0, height - image.shape[2]), (0, 0), (0, 0))  # black, where it is smaller
        shown.append(np.pad(channels.transpose(0, 2, 3, 1), below))
    return np.ascontiguousarray(np.concatenate(shown, axis=2))


def _drawn(agent: Agent, means: Mapping[str, Tensor]) -> np.ndarray:
    """Decoded means of n steps as pictures, (n, H, W, 3) uint8."""
    levels = {key: ((means[key] + 0.5) * 255).round().clamp(0, 255) for key in _keys(agent)}
    return side_by_side({key: level.byte().cpu().numpy() for key, level in levels.items()})


def _keys(agent: Agent) -> list[str]:
    if not agent.spec.images:
        raise UsageError(
            f"this agent for {agent.spec.id} sees no images, so its model draws none; train one "
            "with --obs pixels"
        )
    return list(agent.spec.images)


def _row(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value[0] for key, value in values.items()}


def _picture(episode: Episode, step: int) -> np.ndarray:
    return side_by_side({k: image[None] for k, image in episode.image_at(step).items()})[0]


def _kept_distances(episode: Episode) -> np.ndarray:
    return episode.distances[episode.image_steps]


def _levels(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1).astype(np.float32) / 255


def _generator(agent: Agent, seed: int) -> torch.Generator:
    return torch.Generator(agent.device).manual_seed(seed)
