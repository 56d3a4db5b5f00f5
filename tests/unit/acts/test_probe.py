# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""probe: what is asked of real sockets and programs of this machine, and what is told where it is otherwise."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.strata.virt.plugins.module_utils.acts import probe
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.field import arguments, decode

ONCE = {"retries": 0}


def asked(*probes, check=False):
    """As a task gives them: with what the door fills in."""
    found = ArgumentSpecValidator(arguments(probe.FIELDS)).validate({"probes": [dict(one) for one in probes]})
    assert not found.error_messages
    return probe.run(decode(probe.FIELDS, found.validated_parameters), check)


def refusal(*probes):
    with pytest.raises(StrataError) as caught:
        asked(*probes)
    return str(caught.value)


@pytest.fixture(scope="module")
def server():
    """Answers with the status that its path names, and with what it was asked with."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path.strip("/").partition("?")[0]))
            self.send_header("Location", "/200")
            self.end_headers()
            self.wfile.write(f"{self.path} as {self.headers.get('X-Who')}".encode())

        def log_message(self, *_words):
            """Nothing."""

    served = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()


@pytest.fixture
def closed():
    """A port that nobody listens at, and that nobody else gets."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_http(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    headers = {"X-Who": "probe"}
    told = asked({"http": {"url": f"{server}/200?a=b", "body": r"^/200\?a=b as probe$", "headers": headers}})
    assert told == {"changed": False, "probes": [{"name": f"{server}/200?a=b", "tries": 1}]}
    asked({"http": {"url": f"{server}/302", "status": [301, 302]}})
    wrong = {"name": "shop", "http": {"url": f"{server}/503"}, **ONCE}
    assert refusal(wrong) == "shop: answered with status 503, and not 200"
    wrong = {"http": {"url": f"{server}/200", "body": "welcome"}, **ONCE}
    assert "its body has nothing that matches 'welcome': '/200 as None'" in refusal(wrong)


def test_tcp(server, closed):
    asked({"tcp": {"port": int(server.rpartition(":")[2])}})
    assert refusal({"tcp": {"port": closed}, **ONCE}).startswith(f"127.0.0.1:{closed}: [Errno 111]")


def test_command_on_the_host():
    script = "echo up; echo 'a b'"
    asked({"command": {"argv": ["sh", "-c", script], "stdout": "^up\na b$"}})
    words = refusal({"command": {"argv": ["sh", "-c", "echo no >&2; exit 3"]}, **ONCE})
    assert words == "sh -c 'echo no >&2; exit 3': left with status 3: no"
    assert "No such file" in refusal({"name": "x", "command": {"argv": ["/nowhere"]}, **ONCE})


def test_command_in_a_guest(monkeypatch):
    """That one is entered is for integration tests; here the way in is a shell of this machine."""
    way = probe.entering.Way("", 'echo noise; [ "$guest" = web ] || exit; exec "$@"')
    monkeypatch.setitem(probe.entering.WAYS, "docker", way)
    inside = {"engine": "docker", "guest": "web"}
    asked({"command": {**inside, "argv": ["echo", "a  'b'"], "stdout": "^a  'b'$"}})
    words = refusal({"command": {**inside, "argv": ["false"]}, **ONCE})
    assert words == "false in docker web: left with status 1: it said nothing"
    gone = {"command": {**inside, "guest": "db", "argv": ["true"]}, **ONCE}
    assert "true in docker db: it can't be entered" in refusal(gone)


def test_what_takes_too_long_is_killed_with_what_it_started(tmp_path):
    mark = tmp_path / "late"
    script = f"(sleep 0.4; touch {mark}) & wait"
    with pytest.raises(probe._Not, match=r"did not finish within 0\.1 seconds"):
        probe._ask_command({"argv": ["sh", "-c", script]}, 0.1)
    time.sleep(0.5)
    assert not mark.exists()


def test_it_is_asked_again_and_all_at_the_same_time(tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(probe.time, "sleep", pauses.append)
    count = tmp_path / "count"
    third = ["sh", "-c", f"echo >>{count}; test $(wc -l <{count}) -ge 3"]
    told = asked({"name": "third", "command": {"argv": third}, "delay": "1m"}, {"command": {"argv": ["true"]}})
    assert told["probes"] == [{"name": "third", "tries": 3}, {"name": "true", "tries": 1}]
    assert pauses == [60, 60]
    never = {"command": {"argv": ["false"]}}
    words = refusal({"name": "a", **never, "retries": 2}, {**never, **ONCE})
    assert words == "a: left with status 1: it said nothing (tried 3 times); false: left with status 1: it said nothing"


def test_check_mode_asks_nothing(closed):
    assert asked({"tcp": {"port": closed}}, check=True)["probes"] == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "probes[1]: asks by one of http, tcp and command (got 'none of them')"),
        ({"tcp": {"port": 22}, "http": {"url": "http://127.0.0.1/"}}, "(got 'http, tcp')"),
        ({"tcp": {"port": 65536}}, "probes.tcp.port: is no port"),
        ({"http": {"url": "web.example.org"}}, "probes.http.url: is no address"),
        ({"http": {"url": "http://web.example.org:http/"}}, "probes.http.url: "),
        ({"http": {"url": "http://web.example.org/", "body": "("}}, "probes.http.body: is no regular expression"),
        ({"command": {"argv": []}}, "probes[1].command.argv: names no program"),
        ({"command": {"argv": ["true"], "engine": "lxc"}}, "probes[1].guest: goes with the engine"),
        ({"command": {"argv": ["true"], "guest": "web"}}, "probes[1].guest: goes with the engine"),
        ({"command": {"argv": ["true"], "engine": "lxc", "guest": "../x"}}, "probes[1].command: '../x' names no guest"),
        ({"tcp": {"port": 22}, "retries": -1}, "probes.retries: must be 0 or more"),
        ({"tcp": {"port": 22}, "delay": "soon"}, "probes.delay: is no duration"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(tmp_path, wrong, words):
    mark = tmp_path / "asked"
    assert words in refusal({"command": {"argv": ["touch", str(mark)]}}, wrong)
    assert not mark.exists()


@pytest.mark.parametrize(("validate", "mode"), [(True, ssl.CERT_REQUIRED), (False, ssl.CERT_NONE)])
def test_certificates(validate, mode):
    connection = probe._connection(urlsplit("https://shop.example.org:8443/"), validate, 5)
    assert (connection.host, connection.port) == ("shop.example.org", 8443)
    assert (connection._context.verify_mode, connection._context.check_hostname) == (mode, validate)
