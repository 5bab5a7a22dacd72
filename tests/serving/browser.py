"""Somebody at one clinic, whose requests go wherever the address sends them."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

CSRF = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')


@dataclass
class Browser:
    port: int
    host: str
    cookies: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    """Headers in place of its own, or beside them."""
    _connection: http.client.HTTPConnection | None = None

    def get(self, path: str) -> tuple[int, str]:
        return self._ask("GET", path)

    def post(self, path: str, **fields: str) -> tuple[int, str]:
        """Send a form, as the page has it that was read before."""
        return self._ask("POST", path, urlencode(fields))

    def sign_in(self, username: str, password: str) -> None:
        _, page = self.get("/sign-in/")
        form = {"csrfmiddlewaretoken": CSRF.findall(page)[0], "username": username}
        status, page = self.post("/sign-in/", password=password, **form)
        assert status == 302, page

    def sign_out(self) -> None:
        _, page = self.get("/patients/")
        status, _ = self.post("/sign-out/", csrfmiddlewaretoken=CSRF.findall(page)[0])
        assert status == 302

    def _ask(self, method: str, path: str, body: str = "") -> tuple[int, str]:
        connection = self._connection
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            self._connection = connection
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {
            "Host": self.host,
            "Cookie": cookies,
            "Origin": f"https://{self.host}",
            "X-Forwarded-Proto": "https",
            "Content-Type": "application/x-www-form-urlencoded",
            **self.extra,
        }
        connection.request(method, path, body=body or None, headers=headers)
        response = connection.getresponse()
        for header in response.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(header).items():
                self.cookies[name] = morsel.value
        return response.status, response.read().decode(errors="replace")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
