# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire to Podman: a service of its API that says what a real one (5.4) said."""

from __future__ import annotations

import json
import os
import pwd
import socketserver
import struct
import threading
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.engines import podman_service
from ansible_collections.strata.virt.plugins.module_utils.engines.podman import Each
from ansible_collections.strata.virt.plugins.module_utils.engines.podman_images import PodmanImages, fresh, tagged
from ansible_collections.strata.virt.plugins.module_utils.engines.podman_plays import Kept, Played, PodmanPlays

ME = podman_service.Account(pwd.getpwuid(os.geteuid()).pw_name, os.geteuid(), os.getegid(), "/")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, *_request):
        """Who only knocks is gone before an answer."""


@pytest.fixture
def service(tmp_path):
    """What is said by ``METHOD path``, and what was asked."""
    said, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            path, _mark, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.command, path.replace("/v5.0.0/libpod", ""), query, body))
            status, words = said.get(f"{self.command} {asked[-1][1]}", (404, b'{"message": "no such thing"}'))
            self.send_response(status)
            self.send_header("Libpod-API-Version", said.get("version", "5.4.2"))
            self.end_headers()
            self.wfile.write(words)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_words):
            """Nobody reads it."""

        def address_string(self):
            return "test"

    path = str(tmp_path / "socket")
    with Server(path, Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield SimpleNamespace(url=f"unix://{path}", path=path, said=said, asked=asked)
        server.shutdown()
    podman_service._running.clear()


def test_what_is_not_there(service):
    podman = PodmanImages(None, service.url)
    assert (podman.inspect("web"), podman.image("localhost/web:1.0")) == (None, None)
    podman.stop("web")
    podman.remove("web")
    assert podman.logs("web") == ""


def test_what_is_refused_has_a_way_out(service):
    words = {"cause": "x", "message": "rootlessport cannot expose privileged port 80,  you can add ..", "response": 500}
    service.said["POST /containers/web/start"] = (500, json.dumps(words).encode())
    with pytest.raises(StrataError, match=r"Podman refused: rootlessport cannot.*Publish a port from 1024 on"):
        PodmanImages(None, service.url).start("web")


def test_one_that_is_too_old(service):
    service.said["version"] = "4.9.3"
    with pytest.raises(StrataError, match=r"Podman 4.9.3 is too old.*Install Podman 5.0 or newer"):
        PodmanImages(None, service.url).containers([])


def test_what_was_written_comes_without_its_frames(service):
    frames = b"".join(struct.pack(">BxxxI", stream, len(words)) + words for stream, words in ((1, b"a\n"), (2, b"b\n")))
    service.said["GET /containers/web/logs"] = (200, frames)
    podman = PodmanImages(None, service.url)
    assert podman.logs("web") == "a\nb\n"
    assert podman.last_words("web") == "a; b"


def test_an_update_names_the_policy_beside_the_limits(service):
    service.said["POST /containers/web/update"] = (201, b"1234")
    body = {"Memory": 64 << 20, "MemorySwap": 128 << 20, "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}
    PodmanImages(None, service.url).update("web", body)
    ((_method, _path, query, sent),) = service.asked
    assert query == "restartPolicy=always"
    assert json.loads(sent) == {"memory": {"limit": 64 << 20, "swap": 128 << 20}}


def test_a_pull_that_fails_halfway(service):
    events = [{"stream": "Trying to pull"}, {"error": "initializing source: manifest  unknown"}]
    service.said["POST /images/pull"] = (200, b"".join(json.dumps(one).encode() + b"\n" for one in events))
    podman = PodmanImages(None, service.url)
    with pytest.raises(StrataError, match="Pulling a/b:1 failed: initializing source: manifest unknown"):
        podman.pull("a/b:1", "linux/arm/v7")
    assert "OS=linux&Arch=arm&Variant=v7" in service.asked[0][2]


def test_a_step_for_another_processor_has_a_way_out(service):
    step, wrong = "exec container process `/bin/sh`: Exec format error", "while running runtime: exit status 1"
    events = [{"stream": f"{step}\n"}, {"error": f'building at STEP "RUN true": {wrong}'}]
    service.said["POST /build"] = (200, b"".join(json.dumps(one).encode() + b"\n" for one in events))
    with pytest.raises(StrataError, match=r"Building web:1 failed: .*exit status 1") as failed:
        PodmanImages(None, service.url).build("web:1", b"", {})
    assert "qemu-user-static" in failed.value.hint


def test_a_list_is_asked_for_platform_by_platform(service):
    service.said["GET /images/json"] = (200, b"[]")
    service.said["POST /build"] = (200, b"")
    service.said[f"POST /images/{quote(fresh('web:1'))}/tag"] = (201, b"")
    PodmanImages(None, service.url).build("web:1", b"", {"platform": Each(("linux/amd64", "linux/arm64"))})
    (query,) = [query for method, path, query, _body in service.asked if path == "/build"]
    assert "platform=linux%2Famd64&platform=linux%2Farm64&manifest=localhost%2Fstrata-next-" in query
    assert "layers=false" in query


def test_a_removal_reports_what_it_could_not(service):
    service.said["DELETE /containers/web"] = (200, json.dumps([{"Id": "1", "Err": "device busy"}]).encode())
    with pytest.raises(StrataError, match="Podman refused: device busy"):
        PodmanImages(None, service.url).remove("web")


def test_a_play_as_it_is_sent(service):
    service.said["POST /play/kube"] = (200, b"{}")
    options = {
        "network": ["front", "back:ip=192.0.2.7"],
        "log_opt": {"tag": "a", "max-size": "1m"},
        "tls_verify": False,
    }
    PodmanPlays(None, service.url).play([{"kind": "ConfigMap"}, {"kind": "Pod"}], options)
    ((_method, _path, query, sent),) = service.asked
    assert query.split("&") == [
        "start=false",
        "network=front",
        "network=back%3Aip%3D192.0.2.7",
        "logOptions=max-size%3D1m",
        "logOptions=tag%3Da",
        "tlsVerify=false",
    ]
    assert sent == b'{"kind": "ConfigMap"}\n---\n{"kind": "Pod"}'
    PodmanPlays(None, service.url).play([], {})
    assert service.asked[1][2] == "start=false"


def test_a_pod_of_which_something_does_not_start(service):
    errors = ["starting container fc1a: crun: executable file `/nope` not found"]
    service.said["POST /pods/shop/start"] = (409, json.dumps({"Errs": errors, "Id": "b305"}).encode())
    with pytest.raises(StrataError, match=r"Podman refused: starting container fc1a: crun.*Check the option command"):
        PodmanPlays(None, service.url).start_pod("shop")


def test_a_play_larger_than_what_is_kept(service):
    whole = Played(({"kind": "ConfigMap", "data": {"a": "x" * 300_000}},))
    with pytest.raises(StrataError, match="Podman keeps fewer than 512000"):
        PodmanPlays(None, service.url).keep("press", Kept(whole, whole, ""))
    assert not service.asked


def test_nobody_else_may_listen_where_a_user_does(service):
    """Else a user could put root's socket in the place of theirs, and have root do as they like."""
    mine = podman_service.Service(service.path, ME.uid, ME)
    assert mine.answers()
    other = podman_service.Service(service.path, ME.uid + 1, ME)
    assert not other.answers()
    with pytest.raises(PermissionError, match="is listened at by somebody else"):
        other.connect(1)


def test_a_socket_that_is_none():
    with pytest.raises(StrataError, match="podman_host: is no socket of this host"):
        PodmanImages(None, "ssh://host/run/podman.sock")
    with pytest.raises(StrataError, match=r"no service of Podman answers there.*leave podman_host out"):
        PodmanImages(None, "unix:///nowhere/podman.sock")


def test_whose_it_is(monkeypatch):
    assert podman_service.account(None).uid == os.geteuid()
    with pytest.raises(StrataError, match="there is no such user"):
        podman_service.account("nobody-there")
    monkeypatch.setattr(podman_service.os, "geteuid", lambda: 12345)
    with pytest.raises(StrataError, match=r"only root can act for another user.*become_user: root"):
        podman_service.account("root")


def test_a_user_without_subordinate_ids(monkeypatch):
    texts = {"/etc/nsswitch.conf": "passwd: files\n", "/etc/subuid": "deploy:100000:65536\n", "/etc/subgid": ""}
    monkeypatch.setattr(podman_service.files, "read", texts.get)
    user = podman_service.Account("deploy", 1000, 1000, "/home/deploy")
    with pytest.raises(StrataError, match=r"no range of subordinate IDs in /etc/subgid.*usermod --add-subuids"):
        podman_service._need_ids(user)
    texts["/etc/nsswitch.conf"] += "subid: sss\n"
    podman_service._need_ids(user)


def test_a_user_without_a_session_and_nobody_who_could_start_one(monkeypatch):
    monkeypatch.setattr(podman_service.os, "geteuid", lambda: 1_000_000)
    user = podman_service.Account("deploy", 1_000_001, 1000, "/home/deploy")
    with pytest.raises(StrataError, match=r"nobody of that name is logged in.*loginctl enable-linger deploy"):
        podman_service.need_runtime(user)


@pytest.mark.parametrize(
    ("reference", "status", "said", "digest"),
    [
        ("localhost/web:1", 0, "sha256:a", None),
        ("web:1", 0, "sha256:a", ""),
        ("registry.example.com/web:1", 0, "sha256:a\n", "sha256:a"),
        ("registry.example.com/web:2", 1, "manifest unknown", None),
    ],
)
def test_what_a_registry_has(reference, status, said, digest, service, monkeypatch):
    monkeypatch.setattr(podman_service.command, "find", lambda _program: "/usr/bin/skopeo")
    done = SimpleNamespace(returncode=status, stdout=said, stderr=said, args=["skopeo"])
    monkeypatch.setattr(podman_service.Service, "run", lambda _self, _argv: done)
    assert PodmanImages(None, service.url).published(reference) == digest


def test_what_was_started_ends_unless_somebody_needs_it(monkeypatch):
    ended, known = [], {}
    monkeypatch.setattr(podman_service.files, "read", known.get)
    monkeypatch.setattr(podman_service.command, "run", lambda argv, **_how: ended.append(argv[-1]))
    user = podman_service.Account("deploy-nobody", 1000, 1000, "/home/deploy")
    known["/run/systemd/users/1000"] = "NAME=deploy\nSESSIONS=c3\n"
    podman_service._leave(user, "user@1000.service")
    assert ended == []
    known["/run/systemd/users/1000"] = "NAME=deploy\nSESSIONS=\n"
    podman_service._leave(user, "user@1000.service")
    assert ended == ["user@1000.service"]


def test_who_comes_while_logind_sees_them_off_waits(monkeypatch, tmp_path):
    said = ["STATE=closing\nSTOPPING=yes\n", "STATE=closing\nSTOPPING=yes\n", None]
    started = []
    monkeypatch.setattr(podman_service.Account, "runtime", str(tmp_path))
    monkeypatch.setattr(podman_service.os, "geteuid", lambda: 0)
    monkeypatch.setattr(podman_service.systemd, "booted", lambda: True)
    monkeypatch.setattr(podman_service.files, "read", lambda path: said.pop(0) if path.endswith("1000") else None)
    monkeypatch.setattr(podman_service.command, "run", lambda argv, **_how: started.append((argv[-1], len(said))))
    monkeypatch.setattr(podman_service.atexit, "register", lambda *_what: None)
    podman_service.need_runtime(podman_service.Account("deploy", 1000, 1000, "/home/deploy"))
    assert started == [("user@1000.service", 0)]


def test_the_variables_of_a_service(monkeypatch):
    monkeypatch.setenv("CONTAINER_HOST", "ssh://elsewhere/run/podman.sock")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("TOKEN", "of whoever runs this")
    monkeypatch.setattr(podman_service.Account, "runtime", "/run/user/1000")
    theirs = podman_service._environment(podman_service.Account("deploy", ME.uid + 1, 1000, "/home/deploy"))
    assert theirs["HOME"] == "/home/deploy"
    assert theirs["DBUS_SESSION_BUS_ADDRESS"] == "unix:path=/run/user/1000/bus"
    assert theirs["https_proxy"] == "http://proxy.example.com:3128"
    assert not {"CONTAINER_HOST", "NOTIFY_SOCKET", "TOKEN"} & theirs.keys()
    assert "CONTAINER_HOST" not in podman_service._environment(ME)


def test_a_folder_of_a_session_that_is_over_is_none(monkeypatch, tmp_path):
    """systemd takes it down in its own time: what is there may be on the way out."""
    started = []
    monkeypatch.setattr(podman_service.Account, "runtime", str(tmp_path))
    monkeypatch.setattr(podman_service.os, "geteuid", lambda: 0)
    monkeypatch.setattr(podman_service.systemd, "booted", lambda: True)
    monkeypatch.setattr(podman_service.command, "run", lambda argv, **_how: started.append(argv))
    monkeypatch.setattr(podman_service.atexit, "register", lambda *_what: None)
    podman_service.need_runtime(podman_service.Account("deploy", 1000, 1000, "/home/deploy"))
    assert started == [["systemctl", "start", "user@1000.service"]]


@pytest.mark.parametrize(
    ("given", "whole"), [("web", "web:latest"), ("localhost/web:1", "localhost/web:1"), ("h:5000/a", "h:5000/a:latest")]
)
def test_names_of_images(given, whole):
    assert tagged(given) == whole
