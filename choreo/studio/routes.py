"""What the page asks for over HTTP."""

import asyncio
import re
from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from choreo.studio import requests
from choreo.studio.cache import KEY, NAME
from choreo.studio.jobs import Job
from choreo.studio.refusal import Refusal
from choreo.studio.runs import Run
from choreo.studio.studio import Studio

Condition = Literal["trained", "untrained", "random"]
Ending = Literal["webp", "mp4"]
Part = Literal["film", "real", "dream"]
TYPES = {
    "webp": "image/webp",
    "mp4": "video/mp4",
    "gif": "image/gif",
    "jpg": "image/jpeg",
}
FOREVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"


def router_of(studio: Studio) -> APIRouter:
    """All paths below /api/."""
    router, api = APIRouter(prefix="/api"), Api(studio)
    for path, get in {
        "/runs": api.runs,
        "/runs/{id}": api.run,
        "/runs/{id}/map": api.map,
        "/runs/{id}/films/{condition}/{skill}.{ending}": api.film,
        "/runs/{id}/files/{key}/{name}": api.file,
        "/runs/{id}/rewards": api.rewards,
        "/runs/{id}/frames": api.frames,
        "/runs/{id}/health": api.health,
        "/runs/{id}/choices": api.choices,
        "/jobs/{id}": api.job,
        "/jobs/{id}/{part}.mp4": api.job_film,
    }.items():
        router.add_api_route(path, get, methods=["GET"], response_model=None)
    for path, post in {
        "/runs/{id}/renew": api.renew,
        "/runs/{id}/compare": api.compare,
        "/runs/{id}/imagine": api.imagine,
        "/runs/{id}/prompt": api.prompt,
        "/runs/{id}/film": api.score_film,
        "/score/check": api.check,
    }.items():
        router.add_api_route(path, post, methods=["POST"], response_model=None)
    return router


class Api:
    """One method for each path."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.jobs = studio, studio.jobs

    async def runs(self) -> Response:
        found = await asyncio.to_thread(self.studio.library.all)
        return JSONResponse({"runs": [run.entry for run in found]})

    async def run(self, id: str) -> Response:
        return JSONResponse((await self.studio.run(id)).entry)

    async def map(self, id: str, condition: Condition = "trained", again: bool = False) -> Response:
        run = await self.studio.run(id)
        newer = await asyncio.to_thread(self.studio.library.newer, run)
        job = self.jobs.ensure(run, "map", {}, again=again)
        whole = await asyncio.to_thread(self._map_of, job) if job.state == "ready" else None
        if job.state == "ready" and whole is None:  # it made room for others
            job = self.jobs.renewed(job)
        parts = whole or {}
        maps = parts.pop("maps", {})
        nothing = {"switching": None, "verdicts": [], "coverage": None, "why_not": None}
        about = {"checkpoint": job.identity, "newer": newer, "condition": condition}
        told = job.to_json() | about | nothing | parts
        return JSONResponse(told | {"map": maps.get(condition)})

    def _map_of(self, job: Job) -> dict[str, Any] | None:
        return self.jobs.cache(job.run, job.identity).read_json(job.name)

    async def film(
        self, request: Request, id: str, condition: Condition, skill: int, ending: Ending
    ) -> Response:
        run = await self.studio.playable(id)
        requests.skill_in(skill, run.entry["skills"])
        if not run.entry["renders"]:
            raise Refusal(404, "No film can be drawn here.", run.entry["why_not"] or "")
        asked = {"condition": condition, "skill": skill}
        job = self.jobs.ensure(run, "film", asked)
        return await self._filmed(request, job, ending)

    async def job_film(self, request: Request, id: str, part: Part) -> Response:
        """The film of something imagined or compared, which is made when it is asked for."""
        found = self._job(id)
        kind = {"imagine": "dreamt", "compare": "compared"}.get(found.kind)
        if kind is None or (part == "film") != (kind == "dreamt"):
            raise Refusal(404, "There is no such film.", "Use the page's own links.")
        job = self.jobs.ensure(found.run, kind, found.params)
        if job.state == "ready" and job.result.get(part) is None:
            raise Refusal(404, "What this agent imagines cannot be drawn.", "See the map instead.")
        return await self._filmed(request, job, "mp4", "" if part == "film" else f"-{part}")

    async def _filmed(self, request: Request, job: Job, ending: str, part: str = "") -> Response:
        """A film, or 202 and its job while it is made."""
        if job.state == "failed":
            found = job.error or {"error": "The film could not be made.", "do": ""}
            raise Refusal(404, found["error"], found["do"])
        if job.state != "ready":
            return JSONResponse(job.to_json(), 202)
        name = f"{job.name}{part}.{ending}"
        if not self.jobs.cache(job.run, job.identity).holds(name):  # it made room for others
            return JSONResponse(self.jobs.renewed(job).to_json(), 202)
        return await self._sent(request, job.run, job.identity, name, ASK_AGAIN)

    async def file(self, request: Request, id: str, key: str, name: str) -> Response:
        run = await self.studio.run(id)
        ending = name.rpartition(".")[2]
        if not KEY.fullmatch(key) or not NAME.fullmatch(name) or ending not in TYPES:
            raise Refusal(404, "There is no such file.", "Ask for it anew.")
        return await self._sent(request, run, key, name, FOREVER)

    async def _sent(
        self, request: Request, run: Run, identity: str, name: str, keep: str
    ) -> Response:
        """A file of the cache, whole or the range that a player asks for."""
        tag = f'"{identity[:16]}-{name}"'
        headers = {"cache-control": keep, "etag": tag, "accept-ranges": "bytes"}
        if request.headers.get("if-none-match") == tag:
            return Response(None, 304, headers)
        content = await asyncio.to_thread(self.jobs.cache(run, identity).read, name)
        if content is None:
            raise Refusal(404, "This file is not in the cache any more.", "Ask for it anew.")
        kind = TYPES[name.rpartition(".")[2]]
        wanted = range_of(request.headers.get("range", ""), len(content))
        if wanted is None:
            return Response(content, 200, headers, kind)
        first, last = wanted
        headers["content-range"] = f"bytes {first}-{last}/{len(content)}"
        return Response(content[first : last + 1], 206, headers, kind)

    async def rewards(self, id: str) -> Response:
        job = self.jobs.ensure(await self.studio.run(id), "rewards", {}, again=True)
        await job.over.wait()
        if job.error is not None:
            raise Refusal(409, job.error["error"], job.error["do"])
        return JSONResponse(job.result)

    async def frames(self, id: str) -> Response:
        job = self.jobs.ensure(await self.studio.run(id), "frames", {})
        await job.over.wait()
        if job.error is not None:
            return JSONResponse({"frames": [], "why_not": job.error["error"]})
        return JSONResponse(job.result)

    async def health(self, id: str) -> Response:
        return JSONResponse(await self.studio.health(await self.studio.run(id), True))

    async def choices(self, id: str) -> Response:
        run = await self.studio.playable(id)
        if not run.entry["has_task"]:
            raise Refusal(
                404,
                "This agent chooses no skills: it was not fine-tuned on a task.",
                "Open a run of `choreo finetune`.",
            )
        return JSONResponse(self.jobs.ensure(run, "choices", {}).to_json())

    async def job(self, id: str) -> Response:
        return JSONResponse(self._job(id).to_json())

    def _job(self, id: str) -> Job:
        found = self.jobs.table.get(id)
        if found is None:
            raise Refusal(404, "There is no such job.", "Ask for what it was to compute anew.")
        return found

    async def renew(self, id: str) -> Response:
        run = await self.studio.run(id)
        identity = await asyncio.to_thread(self.studio.library.renew, run)
        return JSONResponse({"checkpoint": identity})

    async def compare(
        self, request: Request, id: str, condition: Condition = "trained"
    ) -> Response:
        asked = await requests.json_of(request, requests.COMPARE)
        run = await self.studio.playable(id)
        skill = requests.skill_in(asked["skill"], run.entry["skills"])
        params = {"skill": skill, "seed": asked.get("seed") or 0, "steps": asked.get("steps")}
        return self._begun(run, "compare", params, condition)

    async def imagine(
        self, request: Request, id: str, condition: Condition = "trained"
    ) -> Response:
        asked = await requests.json_of(request, requests.SCORE)
        params = {"score": asked["score"]}
        return self._begun(await self.studio.run(id), "imagine", params, condition)

    async def score_film(
        self, request: Request, id: str, condition: Condition = "trained"
    ) -> Response:
        asked = await requests.json_of(request, requests.SCORE)
        run = await self.studio.playable(id)
        params = {"score": asked["score"], "format": asked.get("format") or "mp4"}
        return self._begun(run, "score", params, condition)

    async def prompt(self, request: Request, id: str, condition: Condition = "trained") -> Response:
        goal, picture = await requests.prompt_of(request)
        if condition == "random":
            advice = "Choose Trained or Untrained."
            raise Refusal(400, "Random actions follow no skill that could be ranked.", advice)
        return self._begun(await self.studio.run(id), "prompt", goal, condition, picture)

    def _begun(
        self, run: Run, kind: str, params: dict[str, Any], condition: Condition, data: bytes = b""
    ) -> Response:
        """The job that was asked for; one that failed before is tried again."""
        if condition != "trained":
            params = {**params, "condition": condition}
        mapped = self.jobs.kept(run, self.studio.library.map_name())
        job = self.jobs.ensure(run, kind, {**params, "mapped": mapped}, data, again=True)
        return JSONResponse(job.to_json(), 200 if job.settled else 202)

    async def check(self, request: Request) -> Response:
        asked = await requests.json_of(request, requests.SCORE)
        return JSONResponse(await self.studio.ask("check", None, {"score": asked["score"]}))


def range_of(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of `bytes=a-b`; None for the whole and for what is not understood."""
    unit, _, span = header.partition("=")
    first, dash, last = span.partition("-")
    given = [part for part in (first, last) if part]
    digits = all(re.fullmatch(r"[0-9]{1,15}", part) for part in given)
    if unit != "bytes" or not dash or not digits or not given or not size:
        return None
    if not first:
        return max(0, size - int(last)), size - 1
    end = min(int(last), size - 1) if last else size - 1
    return (int(first), end) if int(first) <= end else None
