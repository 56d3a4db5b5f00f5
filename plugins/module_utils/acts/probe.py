# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a host runs does what it is there for, asked until it does or until that takes too long."""

from __future__ import annotations

import http.client
import re
import shlex
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..core import command
from ..core.codec import BOOL, INT, LINE, MAP, SECONDS, Codec
from ..core.errors import StrataError
from ..core.field import Field, structure, table
from ..engines import entering

_BODY = 1 << 20  # bytes of an answer that are looked through
_SHOWN = 200  # characters of what was said instead
_AT_A_TIME = 16
_TOO_LONG = 124  # the status of timeout(1)


def _url(value: Any) -> str:
    parts = urlsplit(str(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("is no address: write http:// or https://, a host, and what else there is")
    return str(value)


def _pattern(value: Any) -> str:
    try:
        return re.compile(str(value)).pattern
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None


def _port(value: int) -> None:
    if not 0 < value < 1 << 16:
        raise ValueError("is no port: it is a number from 1 to 65535")


def _at_least(least: int) -> Callable[[int], None]:
    def check(value: int) -> None:
        if value < least:
            raise ValueError(f"must be {least} or more")

    return check


_STATUSES = Codec(lambda values: tuple(map(int, values)), "list", list, "int")
_WORDS = Codec(lambda values: tuple(map(str, values)), "list", list, "str")
_PATTERN = Codec(_pattern)

WAYS = (
    Field(
        "http",
        structure(
            Field("url", Codec(_url), required=True),
            Field("status", _STATUSES, given=[200]),
            Field("body", _PATTERN),
            Field("headers", MAP, secret=True),
            Field("validate_certs", BOOL, given=True),
        ),
    ),
    Field("tcp", structure(Field("host", LINE, given="127.0.0.1"), Field("port", INT, required=True, check=_port))),
    Field(
        "command",
        structure(
            Field("argv", _WORDS, required=True),
            Field("engine", choices=("host", *entering.ENGINES), given="host"),
            Field("guest", LINE),
            Field("user", LINE, given=entering.ROOT),
            Field("stdout", _PATTERN),
        ),
    ),
)
PROBE = (
    Field("name", LINE),
    *WAYS,
    Field("retries", INT, given=10, check=_at_least(0)),
    Field("delay", SECONDS, given="3s"),
    Field("timeout", SECONDS, given="10s", check=_at_least(1)),
)
FIELDS = (Field("probes", table(*PROBE), required=True),)


class _Not(Exception):
    """What a probe found instead of what it asked for."""


def run(spec: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Ask everything, side by side.

    Raises:
        StrataError: The options are wrong, and nothing was asked; or some of it isn't so, all of which is named.
    """
    probes = spec["probes"]
    for place, probe in enumerate(probes):
        _check(f"probes[{place}]", probe)
    if check_mode:  # what makes it answer wasn't done either
        return {"changed": False, "probes": [], "msg": "nothing is asked in check mode"}
    if not probes:
        return {"changed": False, "probes": []}
    with ThreadPoolExecutor(max_workers=_AT_A_TIME) as pool:
        told = list(pool.map(_asked, probes))
    wrong = [f"{one['name']}: {one['found']}" for one in told if one["found"]]
    if wrong:
        raise StrataError("; ".join(wrong))
    return {"changed": False, "probes": [{"name": one["name"], "tries": one["tries"]} for one in told]}


def _check(where: str, probe: Mapping[str, Any]) -> None:
    ways = [way.name for way in WAYS if way.name in probe]
    if len(ways) != 1:
        raise StrataError("asks by one of http, tcp and command", option=where, value=", ".join(ways) or "none of them")
    asked = probe.get("command")
    if asked is None:
        return
    if not asked["argv"]:
        raise StrataError("names no program", option=f"{where}.command.argv")
    if (asked["engine"] == "host") == ("guest" in asked):
        raise StrataError("goes with the engine that has it, one without the other doesn't", option=f"{where}.guest")
    if "guest" in asked:
        try:
            entering.check(asked["guest"], asked["user"])
        except ValueError as error:
            raise StrataError(str(error), option=f"{where}.command") from None


def _asked(probe: Mapping[str, Any]) -> dict[str, Any]:
    """How a probe went: what it found instead, where it never found what it asked for."""
    way = next(field.name for field in WAYS if field.name in probe)
    name = probe.get("name") or _name(way, probe[way])
    found = ""
    for tries in range(1, probe["retries"] + 2):
        if tries > 1:
            time.sleep(probe["delay"])
        try:
            _ASK[way](probe[way], probe["timeout"])
            return {"name": name, "tries": tries, "found": ""}
        except (_Not, StrataError, OSError, http.client.HTTPException) as error:
            found = str(error) or type(error).__name__
    return {"name": name, "tries": tries, "found": f"{found}{f' (tried {tries} times)' if tries > 1 else ''}"}


def _name(way: str, asked: Mapping[str, Any]) -> str:
    if way == "http":
        return str(asked["url"])
    if way == "tcp":
        return f"{asked['host']}:{asked['port']}"
    place = f" in {asked['engine']} {asked['guest']}" if "guest" in asked else ""
    return f"{shlex.join(asked['argv'])}{place}"


def _ask_http(asked: Mapping[str, Any], timeout: int) -> None:
    """One GET, straight to the host: no proxy, and a redirection is an answer like any other."""
    parts = urlsplit(asked["url"])
    connection = _connection(parts, asked["validate_certs"], timeout)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={name: str(value) for name, value in asked.get("headers", {}).items()})
        answer = connection.getresponse()
        if answer.status not in asked["status"]:
            wanted = " or ".join(map(str, asked["status"]))
            raise _Not(f"answered with status {answer.status}, and not {wanted}")
        _match(asked.get("body"), "body", answer.read(_BODY).decode(errors="replace"))
    finally:
        connection.close()


def _connection(parts: SplitResult, validate: bool, timeout: int) -> http.client.HTTPConnection:
    host = str(parts.hostname)
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=timeout)
    context = ssl.create_default_context()
    if not validate:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)


def _ask_tcp(asked: Mapping[str, Any], timeout: int) -> None:
    socket.create_connection((asked["host"], asked["port"]), timeout).close()


def _ask_command(asked: Mapping[str, Any], timeout: int) -> None:
    status, stdout, stderr = (_in_guest if "guest" in asked else _on_host)(asked, timeout)
    if status == _TOO_LONG:
        raise _Not(f"did not finish within {timeout} seconds")
    if status:
        raise _Not(f"left with status {status}: {(stderr.strip() or stdout.strip() or 'it said nothing')[-_SHOWN:]}")
    _match(asked.get("stdout"), "standard output", stdout)


def _on_host(asked: Mapping[str, Any], timeout: int) -> tuple[int, str, str]:
    done = _within(timeout, asked["argv"])
    return done.returncode, done.stdout, done.stderr


def _in_guest(asked: Mapping[str, Any], timeout: int) -> tuple[int, str, str]:
    token, line = f"strata-{uuid.uuid4().hex}", shlex.join(asked["argv"])
    done = _within(timeout, entering.entering(asked["engine"], asked["guest"], asked["user"], token, line, reads=False))
    said = entering.outcome(token, done.returncode, done.stdout.encode(), done.stderr.encode())
    stderr = said.stderr.decode()
    if said.gone or not (said.entered or said.status == _TOO_LONG):
        # Docker writes there that a guest has no shell
        raise _Not(f"it can't be entered: {(stderr.strip() or done.stdout.strip())[-_SHOWN:]}")
    return said.status, said.stdout.decode(), stderr


def _within(seconds: int, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program that is killed in time, with those that it started: timeout(1) makes a group of them."""
    return command.run(["timeout", "-k", "1", str(seconds), *argv], check=False)


def _match(pattern: str | None, what: str, text: str) -> None:
    if pattern is not None and not re.search(pattern, text):
        raise _Not(f"its {what} has nothing that matches {pattern!r}: {text.strip()[:_SHOWN]!r}")


_ASK: Mapping[str, Callable[[Mapping[str, Any], int], None]] = {
    "http": _ask_http,
    "tcp": _ask_tcp,
    "command": _ask_command,
}
