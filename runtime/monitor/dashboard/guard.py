"""Who may see the dashboard, and what browsers may do with it."""

from __future__ import annotations

import hashlib
import hmac
import logging
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response

from dpiqa.runtime.monitor.settings.sinks import DashboardSettings

log = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
COOKIE = "dpiqa"
_COOKIE_S = 30 * 24 * 3600
_LONGEST_FORM = 4096
_HEADERS = {
    # No inline scripts and styles, and nothing from elsewhere; charts set their styles by script, which is allowed.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI app around another: it demands the token where there is one, and sets the security headers.

    The token comes as `Authorization: Bearer ...`, or as a form that sets a cookie; the cookie holds no token, stays
    valid over restarts and ends with the token. Without a token, which is on loopback only, the Host header must name
    this machine: else a stranger's page could rebind its own name to it.
    """

    def __init__(self, app: Any, settings: DashboardSettings) -> None:
        self._app = app
        self._token = settings.token.get_secret_value().encode() if settings.token else None
        self._hosts = {"localhost", "127.0.0.1", "::1", settings.host.lower(), *map(str.lower, settings.hosts)}
        self._checks_host = settings.is_loopback

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            return

        async def send_safely(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope, receive)
        answer = await self._refusal(request)
        try:
            await (answer or self._app)(scope, receive, send_safely)
        except ClientDisconnect:
            pass
        except Exception:
            log.exception("dashboard: %s failed", request.url.path)
            raise

    async def _refusal(self, request: Request) -> Response | None:
        """What to answer instead of the app, None where it may answer itself."""
        if self._checks_host and _host(request.headers) not in self._hosts:
            return JSONResponse({"detail": "this is not a name of the dashboard (setting: hosts)"}, 421)
        if self._token is None:
            return RedirectResponse("/", 303) if request.url.path == "/login" else None
        if request.url.path == "/login.css":
            return FileResponse(STATIC / "login.css")
        if request.url.path == "/login":
            return await self._login(request, self._token)
        if request.url.path == "/logout" and request.method == "POST":
            gone = RedirectResponse("/login", 303)
            gone.delete_cookie(COOKIE, httponly=True, samesite="strict")
            return gone
        if self._is_known(request.headers, self._token):
            return None
        if "text/html" in request.headers.get("accept", ""):
            return _form(401)
        return JSONResponse({"detail": "the token is missing or wrong"}, 401, {"www-authenticate": "Bearer"})

    async def _login(self, request: Request, token: bytes) -> Response:
        if request.method in ("GET", "HEAD"):
            return _form(200)
        if request.method != "POST":
            return JSONResponse({"detail": "only GET and POST"}, 405)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_FORM:
                return JSONResponse({"detail": "the form is too long"}, 413)
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip().encode()
        if not hmac.compare_digest(given, token):
            return _form(401, "That is not the token.")
        welcome = RedirectResponse("/", 303)
        is_secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
        welcome.set_cookie(COOKIE, _proof(token), max_age=_COOKIE_S, httponly=True, samesite="strict", secure=is_secure)
        return welcome

    def _is_known(self, headers: Headers, token: bytes) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), _proof(token).encode())


def _proof(token: bytes) -> str:
    return hmac.new(token, b"dpiqa dashboard", hashlib.sha256).hexdigest()


def _host(headers: Headers) -> str:
    host = headers.get("host", "").lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _form(status: int, problem: str = "") -> Response:
    page = (STATIC / "login.html").read_text("utf-8").replace("<!-- problem -->", problem)
    return HTMLResponse(page, status, {"www-authenticate": "Bearer"} if status == 401 else None)
