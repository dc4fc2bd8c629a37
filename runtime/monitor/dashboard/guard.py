"""Access control and security headers of the dashboard."""

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
_MAX_FORM_BYTES = 4096
_HEADERS = {
    # No inline scripts or styles, nothing from other origins; charts set their styles by script, which is allowed.
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
    """Wraps an ASGI app: requires the token if there is one, and sets the security headers.

    The token comes as `Authorization: Bearer ...`, or from a form that sets a cookie; the cookie does not contain the
    token, survives restarts and expires with the token. Without a token, possible only on loopback, the Host header
    must name this machine: otherwise a hostile page could rebind its own name to it.
    """

    def __init__(self, app: Any, settings: DashboardSettings) -> None:
        self._app = app
        self._token = settings.token.get_secret_value().encode() if settings.token else None
        self._hosts = {"localhost", "127.0.0.1", "::1", settings.host.lower(), *map(str.lower, settings.hosts)}
        self._checks_host = settings.is_loopback

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle an ASGI request."""
        if scope["type"] != "http":
            return

        async def send_safely(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope, receive)
        response = await self._own_response(request)
        try:
            await (response or self._app)(scope, receive, send_safely)
        except ClientDisconnect:
            pass
        except Exception:
            log.exception("dashboard: %s failed", request.url.path)
            raise

    async def _own_response(self, request: Request) -> Response | None:
        """The response to send instead of the app's, None if the app may respond."""
        if self._checks_host and _host(request.headers) not in self._hosts:
            return JSONResponse({"detail": "unknown host name, add it to the setting hosts of the dashboard"}, 421)
        if self._token is None:
            return RedirectResponse("./", 303) if request.url.path == "/login" else None
        if request.url.path == "/login.css":
            return FileResponse(STATIC / "login.css")
        if request.url.path == "/login":
            return await self._login(request, self._token)
        if request.url.path == "/logout" and request.method == "POST":
            logout = RedirectResponse("login", 303)
            logout.delete_cookie(COOKIE, httponly=True, samesite="strict")
            return logout
        if self._is_authorized(request.headers, self._token):
            return None
        if "text/html" in request.headers.get("accept", ""):
            return _login_page(401, path=request.url.path)
        return JSONResponse({"detail": "the token is missing or wrong"}, 401, {"www-authenticate": "Bearer"})

    async def _login(self, request: Request, token: bytes) -> Response:
        if request.method in ("GET", "HEAD"):
            return _login_page(200)
        if request.method != "POST":
            return JSONResponse({"detail": "use GET or POST"}, 405)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_FORM_BYTES:
                return JSONResponse({"detail": "the form is too long"}, 413)
        candidate = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip().encode()
        if not hmac.compare_digest(candidate, token):
            return _login_page(401, "Wrong token.")
        login = RedirectResponse("./", 303)
        is_secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
        login.set_cookie(
            COOKIE, _cookie_value(token), max_age=_COOKIE_S, httponly=True, samesite="strict", secure=is_secure
        )
        return login

    def _is_authorized(self, headers: Headers, token: bytes) -> bool:
        scheme, _, candidate = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(candidate.strip().encode(), token):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), _cookie_value(token).encode())


def _cookie_value(token: bytes) -> str:
    return hmac.new(token, b"dpiqa dashboard", hashlib.sha256).hexdigest()


def _host(headers: Headers) -> str:
    host = headers.get("host", "").lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _login_page(status: int, problem: str = "", path: str = "/login") -> Response:
    page = (STATIC / "login.html").read_text("utf-8").replace("<!-- problem -->", problem)
    up = "../" * (path.count("/") - 1)  # addresses are relative: a proxy may serve all this under a path of its own
    page = page.replace('"login', f'"{up}login')
    return HTMLResponse(page, status, {"www-authenticate": "Bearer"} if status == 401 else None)
