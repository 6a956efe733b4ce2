"""The application: paths, WebSockets, static files, and errors as the page reads them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from choreo.errors import ChoreoError
from choreo.studio.guard import Guard
from choreo.studio.refusal import Refusal, refusal_of
from choreo.studio.routes import router_of
from choreo.studio.sockets import Stage, Watch
from choreo.studio.studio import Studio

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}


class Static(StaticFiles):
    """The page's own files, of the types given here whatever the machine thinks of an ending."""

    def file_response(self, full_path: Any, *others: Any, **options: Any) -> Response:
        response = super().file_response(full_path, *others, **options)
        kind = TYPES.get(Path(full_path).suffix.lower(), "application/octet-stream")
        response.headers["content-type"] = kind
        response.headers["cache-control"] = "no-cache"
        return response


def make_app(studio: Studio, port: int) -> ASGIApp:
    """The application of a studio, behind its guard."""

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        studio.start()
        try:
            yield
        finally:
            studio.close()

    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, lifespan=living, redirect_slashes=False
    )
    app.include_router(router_of(studio))
    watch, stage = Watch(studio), Stage(studio)
    app.add_api_websocket_route("/api/runs/{id}/watch", watch.serve)
    app.add_api_websocket_route("/api/runs/{id}/perform", stage.serve)
    if STATIC.is_dir():
        files = Static(directory=STATIC)

        async def _index(request: Request) -> Response:
            return await files.get_response("index.html", request.scope)

        app.mount("/static", files)
        app.add_route("/", _index)
    for kind in (ChoreoError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _told)
    return Guard(app, studio.keys, studio.settings.host, port)


async def _told(_: Request, error: Exception) -> Response:
    """Every error as JSON, with nothing of what was sent in it."""
    if isinstance(error, RequestValidationError):
        error = Refusal(400, "The address has not its form.", "Use the page's own links.")
    elif isinstance(error, HTTPException):
        error = Refusal(error.status_code, str(error.detail), "Use the page's own links.")
    await asyncio.sleep(0)
    refused = refusal_of(error)
    return JSONResponse(refused.to_json(), refused.status)
