"""A small stand-in for the studio's server: made-up agents, the same messages, faults on demand."""

import asyncio
import io
import math
import random
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse
from PIL import Image, ImageDraw

STATIC = Path(__file__).parents[2] / "choreo" / "studio" / "static"
CSP = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'"
)
SKILLS = 24
HOSTILE = "<img src=x onerror=alert(1)>"

app = FastAPI()
jobs: dict[str, dict[str, Any]] = {}
grown = {"frames": 4000}


def _run(name: str, title: str, **more: Any) -> dict[str, Any]:
    usual = {
        "phase": "pretrain",
        "environment": "walker",
        "obs": "states",
        "preset": "cpu",
        "seed": 0,
        "frames": 8000,
        "skills": SKILLS,
        "codes": SKILLS,
        "running": False,
        "has_task": False,
        "simulates": True,
        "renders": True,
        "why_not": None,
        "checkpoint": "f" * 64,
    }
    return {"id": name, "title": title, **usual, **more}


RUNS = {
    run["id"]: run
    for run in [
        _run("walker", "walker"),
        _run("task", "walker stand", phase="finetune", has_task=True),
        _run("growing", "growing", running=True),
        _run("blind", "no pictures", renders=False, why_not="No OpenGL here: apt install libegl1"),
        _run("dead", "dead simulator"),
        _run("hostile", HOSTILE),
    ]
}


@app.middleware("http")
async def _guarded(request: Request, go_on: Any) -> Response:
    response = await go_on(request)
    response.headers["Content-Security-Policy"] = CSP
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-cache"
    return response


@app.get("/")
def _page() -> FileResponse:
    return FileResponse(STATIC / "index.html")


@app.get("/static/{name:path}")
def _static(name: str) -> FileResponse:
    return FileResponse(STATIC / name)


@app.get("/api/runs")
def _runs() -> dict[str, Any]:
    return {"runs": list(RUNS.values())}


def _end(skill: int, condition: str) -> tuple[float, float]:
    rng = random.Random(f"{skill} {condition}")
    size = {"trained": 1.0, "untrained": 0.25, "random": 0.15}[condition]
    angle = rng.uniform(0, 2 * math.pi)
    return size * math.cos(angle) * rng.uniform(0.3, 1), size * math.sin(angle)


def _path(skill: int, condition: str = "trained", steps: int = 60) -> list[list[float]]:
    x, y = _end(skill, condition)
    parts = [n / (steps - 1) for n in range(steps)]
    return [[x * t + 0.05 * math.sin(9 * t), y * math.sin(t * math.pi / 2)] for t in parts]


def _place(skill: int, condition: str) -> dict[str, Any]:
    rng = random.Random(skill)
    x, y = _end(skill, condition)
    idle = skill % 11 == 10
    return {
        "skill": skill,
        "x": x,
        "y": y,
        "idle": idle,
        "use": 0.0 if idle else rng.uniform(0.01, 0.09),
        "hit_rate": rng.uniform(0.2, 0.98) if condition == "trained" else 0.05,
        "path": _path(skill, condition),
        "relatives": [(skill + n) % SKILLS for n in (1, 2, 3)],
        "coverage": rng.randrange(30, 200),
        "return_mean": rng.uniform(0, 100),
        "safety": {"falls": rng.uniform(0, 1), "action_rate": 0.2, "early_ends": None},
    }


@app.get("/api/runs/{name}/map")
def _map(name: str, condition: str = "trained") -> dict[str, Any]:
    kind = "coordinates"
    places = [_place(skill, condition) for skill in range(SKILLS)]
    shown = list(range(0, SKILLS, 3))
    return {
        "state": "ready",
        "progress": None,
        "error": None,
        "checkpoint": "f" * 64,
        "newer": False,
        "map": {"axes": ["x", "y"], "kind": kind, "skills": places},
        "switching": {
            "skills": shown,
            "mean": 0.5,
            "chance": 1 / SKILLS,
            "hits": [
                [None if i == j else random.Random(i * 99 + j).random() for j in shown]
                for i in shown
            ],
        },
        "verdicts": ["Trained skills visit 812 cells: 2.1 times as many as random actions (390)."],
        "coverage": {"trained": 812, "untrained": 420, "random": 390},
    }


def _picture(point: list[float], size: int = 96, words: str = "") -> Image.Image:
    image = Image.new("RGB", (size, size), "#dfe7ee")
    draw = ImageDraw.Draw(image)
    x, y = size * (0.5 + 0.4 * point[0]), size * (0.5 - 0.4 * point[1])
    draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill="#0f766e")
    draw.text((4, 2), words, fill="#1f2933")
    return image


def _film(path: list[list[float]], words: str = "") -> bytes:
    frames = [_picture(point, words=words) for point in path[::6]]
    target = io.BytesIO()
    frames[0].save(target, "WEBP", save_all=True, append_images=frames[1:], duration=80, loop=0)
    return target.getvalue()


@app.get("/api/runs/{name}/films/{condition}/{film}")
def _skill_film(name: str, condition: str, film: str) -> Response:
    skill = int(film.split(".")[0])
    return Response(_film(_path(skill, condition), str(skill)), media_type="image/webp")


@app.get("/api/films/{skill}.webp")
def _some_film(skill: int) -> Response:
    return Response(_film(_path(skill), str(skill)), media_type="image/webp")


def _job(result: dict[str, Any] | None, error: dict[str, str] | None = None) -> dict[str, Any]:
    name = f"job{len(jobs)}"
    jobs[name] = {
        "job": name,
        "kind": "any",
        "state": "failed" if error else "ready",
        "progress": None,
        "error": error,
        "result": result,
    }
    return {**jobs[name], "state": "working", "error": None, "result": None}


@app.get("/api/jobs/{name}")
def _look(name: str) -> dict[str, Any]:
    return jobs[name]


DEAD = {"error": "The simulator died.", "what": "exit -9", "do": "Try once more; it starts anew."}


@app.post("/api/runs/{name}/compare")
async def _compare(name: str, request: Request) -> dict[str, Any]:
    asked = await request.json()
    if name == "dead":
        return _job(None, DEAD)
    skill, steps = asked["skill"], asked["steps"]
    real = _path(skill, steps=steps)
    dream = [[x + 0.004 * n, y - 0.003 * n] for n, (x, y) in enumerate(real)]
    film = f"/api/films/{skill}.webp"
    errors = [0.002 * n for n in range(steps)]
    return _job(
        {
            "real": {"path": real, "films": film},
            "dream": {"path": dream, "film": film},
            "error": errors,
            "lazy": [min(0.3, 0.1 + 0.001 * n) for n in range(steps)],
            "leaves": int(steps * 0.8),
            "axes": ["x", "y"],
            "round": [False, False],
        }
    )


def _steps(score: dict[str, Any]) -> list[tuple[int, int]]:
    moves = [
        (n, move["skill"]) for n, move in enumerate(score["moves"]) for _ in range(move["steps"])
    ]
    return moves * score.get("loop", 1)


@app.post("/api/runs/{name}/imagine")
async def _imagine(name: str, request: Request) -> dict[str, Any]:
    skills = [skill for _, skill in _steps((await request.json())["score"])]
    path = [[math.sin(n / 40) * (1 + k % 3) / 3, math.cos(n / 25)] for n, k in enumerate(skills)]
    rewards = [0.5 + 0.5 * math.sin(n / 9) for n in range(len(skills))]
    return _job(
        {
            "path": path,
            "skills": skills,
            "reward": rewards,
            "film": "/api/films/3.webp",
            "axes": ["x", "y"],
            "round": [False, False],
        }
    )


@app.post("/api/runs/{name}/prompt")
async def _prompt(name: str, request: Request) -> dict[str, Any]:
    json_sent = request.headers["content-type"] == "application/json"
    asked = await request.json() if json_sent else {}
    goal = (asked.get("x", 0), asked.get("y", 0))
    found = [{"skill": k, "score": -math.dist(_end(k, "trained"), goal)} for k in range(SKILLS)]
    return _job({"ranking": found, "goal": asked, "film": None})


@app.get("/api/runs/{name}/rewards")
def _rewards(name: str) -> dict[str, Any]:
    return {
        "rewards": [
            {"name": "walker_stand", "about": "Head high, upright."},
            {"name": "walker_run", "about": "Fast."},
        ]
    }


@app.get("/api/runs/{name}/frames")
def _frames(name: str) -> dict[str, Any]:
    return {
        "frames": [
            {"frame": n * 100, "picture": f"/api/films/{n}.webp", "label": f"frame {n * 100}"}
            for n in range(8)
        ]
    }


def _health_of(name: str) -> dict[str, Any]:
    frames = grown["frames"] if name == "growing" else 8000
    at = range(1000, frames + 1, 500)
    return {
        "x": "frames",
        "running": name == "growing",
        "warnings": ["Only 7 of 24 codes are in use."],
        "series": {
            "codes": {
                "label": "Codes in use",
                "points": [[f, 24 * (1 - math.exp(-f / 3000))] for f in at],
                "good": "high",
            },
            "error": {
                "label": "Model error",
                "points": [[f, math.exp(-f / 4000)] for f in at],
                "good": "low",
            },
        },
    }


@app.get("/api/runs/{name}/health")
def _health(name: str) -> dict[str, Any]:
    return _health_of(name)


@app.get("/api/runs/{name}/choices")
def _choices(name: str) -> dict[str, Any]:
    skills = [(n // 17 * 5) % SKILLS for n in range(250)]
    return _job(
        {
            "skills": skills,
            "reward": [min(1, n / 200) for n in range(250)],
            "film": "/api/films/3.webp",
        }
    )


@app.post("/api/runs/{name}/film")
async def _export(name: str, request: Request) -> dict[str, Any]:
    return _job({"url": "/api/films/3.webp"})


@app.post("/api/runs/{name}/renew")
def _renew(name: str) -> JSONResponse:
    return JSONResponse({"checkpoint": "e" * 64})


@app.websocket("/api/runs/{name}/watch")
async def _watch(socket: WebSocket, name: str) -> None:
    await socket.accept()
    try:
        while True:
            await asyncio.wait_for(socket.receive(), 0.5) if name != "growing" else None
            await asyncio.sleep(0.5)
            grown["frames"] += 500
            RUNS["growing"]["frames"] += 500
            await socket.send_json({"type": "health", **_health_of(name)})
            await socket.send_json({"type": "run", **RUNS[name]})
    except (WebSocketDisconnect, RuntimeError, TimeoutError):
        pass


@app.websocket("/api/runs/{name}/perform")
async def _perform(socket: WebSocket, name: str) -> None:
    await socket.accept()
    begun = await socket.receive_json()
    await socket.send_json({"type": "ready", "renders": True, "steps_per_second": 20})
    live: dict[str, Any] = {"skill": None, "paused": False, "stopped": False}
    listener = asyncio.create_task(_listen(socket, live))
    total, start = 0.0, {"step": 0, "move": 0, "skill": 0, "reward": 0, "at": [0, 0]}
    await socket.send_json({"type": "step", **start, "frame": False})
    for step, (move, planned) in enumerate(_steps(begun["score"])):
        if name == "dead" and step == 20:
            await socket.send_json({"type": "error", "error": DEAD["error"], "do": DEAD["do"]})
            await socket.close()
            return
        while live["paused"] and not live["stopped"]:
            await asyncio.sleep(0.02)
        if live["stopped"]:
            break
        skill = planned if live["skill"] is None else live["skill"]
        point = [math.sin(step / 30), math.cos(step / 20) * (skill % 5) / 5]
        total += 0.5
        told = {"step": step + 1, "move": move, "skill": skill, "reward": 0.5, "at": point}
        await socket.send_json({"type": "step", **told, "frame": True})
        target = io.BytesIO()
        _picture(point, 256, f"skill {skill}").save(target, "JPEG")
        await socket.send_bytes(target.getvalue())
        await asyncio.sleep(0.05)
    await socket.send_json({"type": "ended", "return": total, "steps": step + 1})
    listener.cancel()


async def _listen(socket: WebSocket, live: dict[str, Any]) -> None:
    while True:
        message = await socket.receive_json()
        kind = message["type"]
        live["skill"] = message.get("skill", live["skill"])
        live["paused"] = kind == "pause" or (live["paused"] and kind != "resume")
        live["stopped"] = live["stopped"] or kind == "stop"


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
