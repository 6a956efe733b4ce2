"""Bodies of requests: bounded before they are read, and checked before they are believed."""

import asyncio
from typing import Any

from fastapi import Request

from choreo.schema import Maybe, Real, Whole, parse, problem
from choreo.studio.refusal import Refusal

MOST_JSON = 64 * 1024
MOST_PICTURE = 4 * 1024 * 1024
BODY_SECONDS = 20.0  # for a body to arrive [ours]
PICTURES = {"image/png": b"\x89PNG\r\n", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}
SKILL = Whole(0, 2**20)
CONDITIONS = ("trained", "untrained", "random")
PLACE = Real(-1e9, 1e9)
COMPARE = {"skill": SKILL, "seed": Maybe(Whole()), "steps": Maybe(Whole(1, 1000))}
SCORE = {"score": dict, "format": Maybe(("mp4", "gif"))}
PROMPTS: dict[str, Any] = {
    "point": {"x": PLACE, "y": PLACE},
    "frame": {"frame": Whole()},
    "reward": {"name": str},
}


async def body_of(request: Request, most: int) -> bytes:
    """The body, of which no more is ever read than allowed.

    Raises Refusal for one that is longer, or does not arrive in time.
    """
    too_long = Refusal(413, f"The body is longer than {most} bytes.", "Send less.")
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdecimal() or int(length[:20]) > most:
        raise too_long
    parts, count = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                count += len(part)
                if count > most:
                    raise too_long
                parts.append(part)
    except TimeoutError as error:
        raise Refusal(408, "The body did not arrive in time.", "Send it again.") from error
    return b"".join(parts)


async def json_of(request: Request, form: Any) -> dict[str, Any]:
    """A JSON body of a form; raises Refusal for anything else."""
    if _kind(request) != "application/json":
        raise Refusal(415, "The body is no application/json.", "Send JSON under that type.")
    return checked(await body_of(request, MOST_JSON), form)


def checked(text: bytes | str, form: Any) -> dict[str, Any]:
    """What JSON says, in a form; raises Refusal."""
    try:
        found = parse(text)
        wrong = problem(found, form, "the message")
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "The message is no JSON.", "Send a JSON object.") from error
    if wrong is not None:
        raise Refusal(400, f"The message has not its form: {wrong}.", "Send it as documented.")
    if not isinstance(found, dict):
        raise Refusal(400, "The message is no JSON object.", "Send a JSON object.")
    return found


async def prompt_of(request: Request) -> tuple[dict[str, Any], bytes]:
    """A goal, and the bytes of its picture where it is one."""
    kind = _kind(request)
    if kind not in PICTURES:
        found = await json_of(request, {"kind": tuple(PROMPTS)})
        form = PROMPTS[found["kind"]]
        if wrong := problem(found, form):
            raise Refusal(400, f"The goal has not its form: {wrong}.", "Choose another goal.")
        return {"kind": found["kind"], **{name: found[name] for name in form}}, b""
    picture = await body_of(request, MOST_PICTURE)
    if not picture.startswith(PICTURES[kind]):
        raise Refusal(415, f"The file is no {kind}.", "Choose a PNG, JPEG or WebP picture.")
    return {"kind": "picture"}, picture


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def skill_in(skill: int, skills: int) -> int:
    """A skill that the agent has; raises Refusal."""
    if not 0 <= skill < skills:
        raise Refusal(
            404, f"There is no skill {skill}: this agent has {skills}.", "Choose one of them."
        )
    return skill
