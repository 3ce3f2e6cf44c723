"""The server of the page: files, and answers to its questions, for nobody but the page."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lava_s3trigger.cli.entries.schema import SCHEMAS
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES

from .processes import QUICK, SLOW

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .processes import Processes
    from .watch import Watch

PAGE: Final = Path(__file__).parent / "page"
_TEXTS: Final = (
    *("uri", "size", "event_type", "time", "payload"),
    *("text", "change", "trigger_id", "source", "keys", "bucket"),
)
MAX_REQUEST_BYTES: Final = 16 * 1024 * 1024
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        # Attributes only: CodeMirror sets some, such as `tab-size: 4`.
        " style-src-attr 'unsafe-inline';"
        " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Guard:
    """Lets nobody through but the page: by address, by origin and by token.

    The token comes once, with the link; a cookie keeps it, so that no address shows it. A page
    of another site, whose name was made to lead to this machine, has another `Host`.
    """

    app: ASGIApp
    token: str
    port: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        response = self._refused(request) or self._entered(request)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                raw = [(name.lower().encode(), text.encode()) for name, text in _HEADERS.items()]
                message["headers"] = [*message["headers"], *raw]
            await send(message)

        await (response or self.app)(scope, receive, send_with_headers)

    @property
    def _cookie(self) -> str:
        # Cookies know no ports: two pages side by side need two names.
        return f"lava-s3trigger-{self.port}"

    def _refused(self, request: Request) -> Response | None:
        hosts = [f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")]
        host, origin = request.headers.get("host"), request.headers.get("origin")
        if host not in hosts:
            return PlainTextResponse("This page is on 127.0.0.1 only.", 421)
        if origin is not None and origin != f"http://{host}":
            return PlainTextResponse("Only the page itself may ask.", 403)
        return None

    def _entered(self, request: Request) -> Response | None:
        """Return the answer to the link with the token, or to who has none."""
        token = request.query_params.get("token", "")
        if request.url.path == "/" and secrets.compare_digest(token.encode(), self.token.encode()):
            response = RedirectResponse("/", 303)
            response.set_cookie(self._cookie, self.token, httponly=True, samesite="strict")
            return response
        cookie = request.cookies.get(self._cookie, "")
        if not secrets.compare_digest(cookie.encode(), self.token.encode()):
            return PlainTextResponse(
                "Open the link that lava-s3trigger ui has printed: it holds the key to this page.",
                403,
            )
        return None


def application(processes: Processes, watch: Watch | None, token: str, port: int) -> ASGIApp:
    """Return the application.

    Args:
        processes: What decides.
        watch: What looks at the deployed function; None where there is no realm.
        token: What the link has.
        port: Port of the server.
    """

    async def answer(request: Request) -> Response:
        name = request.path_params["call"]
        try:
            return JSONResponse(await _answer(name, await _body(request), processes, watch))
        except CommandError as error:
            return JSONResponse({"error": str(error)}, 422)

    routes = [
        Route("/api/{call}", answer, methods=["POST"]),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    return Guard(Starlette(routes=routes), token, port)


async def _body(request: Request) -> dict[str, Any]:
    raw = b""
    async for part in request.stream():
        raw += part
        if len(raw) > MAX_REQUEST_BYTES:
            raise CommandError(f"more than {MAX_REQUEST_BYTES:,} bytes: use the command line")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if request.headers.get("content-type") != "application/json" or not _is_request(body):
        raise CommandError("this takes a JSON object, as the page sends it")
    payload: dict[str, Any] = body
    return payload


def _is_request(body: Any) -> bool:
    """Return whether something is what the page sends: texts, and drafts."""
    if not isinstance(body, dict):
        return False
    drafts = body.get("drafts", [])
    return all(isinstance(body.get(name, ""), str) for name in _TEXTS) and (
        isinstance(drafts, list)
        and all(
            isinstance(draft, dict)
            and isinstance(draft.get("text"), str)
            and isinstance(draft.get("replaces"), str | None)
            for draft in drafts
        )
    )


async def _answer(
    call: str, request: dict[str, Any], processes: Processes, watch: Watch | None
) -> dict[str, Any]:
    if call in QUICK | SLOW:
        return await processes.ask(call, request)
    if call == "about":
        return {
            "watches": watch is not None,
            "schema": SCHEMAS["trigger"](),
            "event_types": list(EVENT_TYPES),
        }
    if call in ("parked", "recent"):
        if watch is None:
            raise CommandError("no realm: lava-s3trigger ui --realm NAME shows what waits in it")
        return await asyncio.to_thread(getattr(watch, call))
    raise CommandError(f"there is no call {call}")
