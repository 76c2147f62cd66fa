"""Stands in for App Service authentication: a reverse proxy before the app that signs people in and says who they are.

As the platform does it lets nobody else send its headers, keeps a session in a cookie, and refuses a browser's POST in
that session that does not come from its own origin. In place of Entra ID's page it lists people to choose from. Sources:
https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities,
https://learn.microsoft.com/azure/app-service/overview-authentication-authorization#cross-site-request-forgery-mitigation
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping, Sequence
from html import escape
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, quote, urlsplit

from tests.servers.plain_http import Handler, LoopbackServer

COOKIE = "AppServiceAuthSession"
People = Mapping[str, Sequence[tuple[str, str]]]
"""Sign-in name → further claims, each a type and a value."""


def principal(name: str, claims: Sequence[tuple[str, str]]) -> str:
    """The header X-MS-CLIENT-PRINCIPAL of a person who signed in with Entra ID."""
    said = [("preferred_username", name), ("name", name.partition("@")[0].capitalize()), *claims]
    document = {
        "auth_typ": "aad",
        "claims": [{"typ": kind, "val": value} for kind, value in said],
        "name_typ": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
        "role_typ": "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
    }
    return base64.b64encode(json.dumps(document).encode()).decode()


def sign_in_before(app: str, people: People) -> LoopbackServer:
    """The proxy before the app at this address; `with` it, it serves at `url`."""
    target = urlsplit(app)

    class Platform(Handler):
        def do_GET(self) -> None:  # noqa: N802
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            match parts.path:
                case "/.auth/login/aad":
                    self.choose(query.get("post_login_redirect_uri", "/"))
                case "/.auth/login/aad/callback":
                    cookie = f"{COOKIE}={quote(query['who'])}; Path=/; HttpOnly; SameSite=Lax"
                    self.answer(302, b"", {"Location": query["back"], "Set-Cookie": cookie})
                case "/.auth/logout":
                    self.answer(200, b"Signed out", {"Set-Cookie": f"{COOKIE}=; Path=/; Max-Age=0"}, "text/plain")
                case _:
                    self.forward()

        def do_HEAD(self) -> None:  # noqa: N802
            self.forward()

        def do_POST(self) -> None:  # noqa: N802
            origins = {self.headers.get("Origin"), self.origin_of(self.headers.get("Referer", ""))}
            is_browser = "Mozilla" in self.headers.get("User-Agent", "")
            if self.who() and is_browser and f"http://{self.headers['Host']}" not in origins:
                self.content()
                self.answer(403, b"You do not have permission to view this directory or page.", kind="text/html")
                return
            self.forward()

        def choose(self, back: str) -> None:
            if not back.startswith("/") or back.startswith("//"):
                self.answer(400, b"Not an address of this site", kind="text/plain")
                return
            links = "".join(
                f'<p><a href="/.auth/login/aad/callback?who={quote(who)}&back={quote(back, safe="")}">{escape(who)}</a>'
                for who in people
            )
            self.answer(200, f"<title>Sign in</title><h1>Pick an account</h1>{links}".encode(), kind="text/html")

        def who(self) -> str:
            held = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
            name = parse_qs(f"who={held.value}").get("who", [""])[0] if held else ""
            return name if name in people else ""

        @staticmethod
        def origin_of(address: str) -> str:
            parts = urlsplit(address)
            return f"{parts.scheme}://{parts.netloc}"

        def forward(self) -> None:
            headers = {name: text for name, text in self.headers.items() if not name.lower().startswith("x-ms-")}
            if who := self.who():
                headers |= {
                    "X-MS-CLIENT-PRINCIPAL": principal(who, people[who]),
                    "X-MS-CLIENT-PRINCIPAL-NAME": who,
                    "X-MS-CLIENT-PRINCIPAL-IDP": "aad",
                }
            connection = http.client.HTTPConnection(target.hostname or "", target.port or 80)
            connection.request(self.command, self.path, self.content() or None, headers)
            answer = connection.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, text in answer.getheaders():
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            connection.close()

    return LoopbackServer(Platform)
