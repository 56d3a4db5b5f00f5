# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines: absent, installed, answering, refusing. The daemons are threads that listen in a folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.survey import lacks
from ansible_collections.strata.virt.plugins.module_utils.engines import hostfiles
from ansible_collections.strata.virt.plugins.module_utils.engines.hostfiles import DENIED, Answer, Host
from ansible_collections.strata.virt.plugins.module_utils.host import engines

DOCKER = {
    "/version": {"Version": "26.1.5+dfsg1", "ApiVersion": "1.45"},
    "/info": {"Driver": "overlay2", "CgroupDriver": "systemd", "CgroupVersion": "2"},
}
INCUS = {"/1.0": {"metadata": {"environment": {"server_version": "6.0.4", "storage": "dir", "driver": "lxc | qemu"}}}}


@pytest.fixture
def root():
    # Paths of sockets are short, 107 bytes (unix(7)): pytest's own folders may be too deep.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def install(root: Path, program: str, says: str = "") -> None:
    path = root / program.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def place(root: Path, path: str, text: str = "") -> Path:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@contextlib.contextmanager
def daemon(root: Path, path: str, answers: dict):
    """Something that listens there and answers with JSON; what it isn't prepared for, with 404."""

    class Handler(BaseHTTPRequestHandler):
        def address_string(self):
            return path

        def log_message(self, *_args):
            pass

        def do_GET(self):
            body = answers.get(self.path)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    with socketserver.ThreadingUnixStreamServer(str(file), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def told(root: Path) -> tuple[dict, dict]:
    facts = engines.read(Host(str(root)))
    json.dumps(facts)
    return facts, {lack["what"]: lack for lack in lacks(engines.SUBJECT, facts)}


def test_a_host_without_engines(root):
    facts, missing = told(root)
    assert set(missing) == set(facts) == set(engines.ENGINES)
    assert missing["docker"]["reason"] == "it is not installed: there is no dockerd"
    assert missing["docker"]["remedy"] == "Install docker.io (Debian), moby-engine (Fedora)"
    assert facts["lxc"]["reachable"] is None
    assert facts["docker"]["reachable"] is False


def test_docker_that_answers(root):
    install(root, "/usr/sbin/dockerd", "no program is asked for what the socket tells")
    with daemon(root, "/run/docker.sock", DOCKER):
        facts, missing = told(root)
    assert facts["docker"] == {
        "installed": True,
        "program": "/usr/sbin/dockerd",
        "socket": "/run/docker.sock",
        "reachable": True,
        "error": None,
        "version": "26.1.5+dfsg1",
        "api_version": "1.45",
        "storage_driver": "overlay2",
        "cgroup_driver": "systemd",
        "cgroup_version": "2",
    }
    assert "docker" not in missing


def test_a_socket_without_a_program_is_reachable(root):
    with daemon(root, "/run/docker.sock", DOCKER):
        facts, missing = told(root)
    assert (facts["docker"]["installed"], facts["docker"]["reachable"]) == (False, True)
    assert "docker" not in missing


def test_docker_that_tells_its_version_alone(root):
    with daemon(root, "/run/docker.sock", {"/version": DOCKER["/version"]}):
        facts, _missing = told(root)
    assert (facts["docker"]["reachable"], facts["docker"]["storage_driver"]) == (True, None)
    assert facts["docker"]["error"] == "it answers GET /info with 404 Not Found"


def test_docker_that_nobody_started(root):
    install(root, "/usr/sbin/dockerd", "Docker version 26.1.5+dfsg1, build a72d7cd")
    facts, missing = told(root)
    assert (facts["docker"]["version"], facts["docker"]["socket"]) == ("26.1.5", None)
    assert missing["docker"]["reason"] == "it is installed, and nobody listens at /run/docker.sock"
    assert missing["docker"]["remedy"] == "systemctl enable --now docker.socket docker.service"


def test_docker_that_refuses(root):
    install(root, "/usr/sbin/dockerd")
    (root / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(root / "run/docker.sock"))
    facts, missing = told(root)
    assert facts["docker"]["reachable"] is False
    assert facts["docker"]["error"] == "Connection refused"
    assert missing["docker"]["reason"] == "it does not answer at /run/docker.sock: Connection refused"


@pytest.mark.parametrize(
    ("body", "reachable"), [(b"no json", False), (b"[]", True), (b'{"Version": 3}', True), (b"\xff", False)]
)
def test_docker_that_talks_nonsense(root, body, reachable):
    with daemon(root, "/run/docker.sock", {"/version": body, "/info": body}):
        facts, missing = told(root)
    assert facts["docker"]["reachable"] is reachable
    assert facts["docker"]["version"] is None
    assert ("docker" in missing) is not reachable


def test_docker_that_says_nothing(root, monkeypatch):
    monkeypatch.setattr(hostfiles, "_SOCKET_TIMEOUT", 0.1)
    install(root, "/usr/sbin/dockerd")
    (root / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(root / "run/docker.sock"))
        deaf.listen()
        facts, _missing = told(root)
    assert facts["docker"]["error"] in ("timed out", "no answer within 0.1 seconds")


def test_a_socket_that_is_not_for_this_user(root, monkeypatch):
    place(root, "/run/docker.sock")
    install(root, "/usr/sbin/dockerd")
    monkeypatch.setattr(Host, "get", lambda *_args: Answer({}, DENIED))
    _facts, missing = told(root)
    assert missing["docker"]["reason"] == "this user may not speak to it at /run/docker.sock"
    assert missing["docker"]["remedy"] == "Use become"


def test_podman_works_without_its_socket(root):
    install(root, "/usr/bin/podman", "podman version 5.4.2")
    facts, missing = told(root)
    assert facts["podman"]["version"] == "5.4.2"
    assert missing["podman"]["remedy"].startswith("systemctl enable --now podman.socket")


@pytest.mark.parametrize("socket_path", ["/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"])
def test_libvirt_is_told_by_its_library_and_its_socket(root, socket_path):
    install(root, "/usr/sbin/virtqemud", "nobody asks")
    place(root, "/usr/lib/x86_64-linux-gnu/libvirt.so.0.11003.1")
    place(root, "/usr/lib/x86_64-linux-gnu/libvirt-qemu.so.0.11003.1")
    with daemon(root, socket_path, {}):
        facts, missing = told(root)
    assert (facts["libvirt"]["version"], facts["libvirt"]["reachable"]) == ("11.3.1", True)
    assert facts["libvirt"]["socket"] == socket_path
    assert "libvirt" not in missing


def test_libvirt_behind_a_socket_that_somebody_left(root):
    (root / "run/libvirt").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(root / "run/libvirt/libvirt-sock"))
    with daemon(root, "/run/libvirt/virtqemud-sock", {}):
        facts, _missing = told(root)
    assert facts["libvirt"]["socket"] == "/run/libvirt/virtqemud-sock"
    assert (facts["libvirt"]["reachable"], facts["libvirt"]["error"]) == (True, None)


def test_nspawn_takes_systemd(root):
    install(root, "/usr/bin/systemd-nspawn")
    place(root, "/usr/lib/systemd/libsystemd-shared-257.so")
    facts, missing = told(root)
    assert (facts["nspawn"]["version"], facts["nspawn"]["reachable"]) == ("257", False)
    assert "was not booted with systemd" in missing["nspawn"]["reason"]
    (root / "run/systemd/system").mkdir(parents=True)
    facts, missing = told(root)
    assert facts["nspawn"]["reachable"] is True
    assert "nspawn" not in missing


def test_systemd_without_nspawn_is_not_enough(root):
    (root / "run/systemd/system").mkdir(parents=True)
    _facts, missing = told(root)
    assert missing["nspawn"]["reason"] == "it is not installed: there is no systemd-nspawn"


def test_qemu_and_lxc_say_their_versions(root):
    machine = os.uname().machine
    install(root, f"/usr/bin/qemu-system-{machine}", "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1)")
    install(root, "/usr/bin/lxc-start", "6.0.4")
    facts, missing = told(root)
    assert (facts["qemu"]["version"], facts["lxc"]["version"]) == ("10.0.2", "6.0.4")
    assert not {"qemu", "lxc"} & set(missing)


def test_qemu_where_red_hat_keeps_it(root):
    install(root, "/usr/libexec/qemu-kvm", "QEMU emulator version 9.1.0")
    facts, _missing = told(root)
    assert (facts["qemu"]["program"], facts["qemu"]["version"]) == ("/usr/libexec/qemu-kvm", "9.1.0")


def test_a_program_that_fails_has_no_version(root):
    path = place(root, "/usr/bin/lxc-start", "#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    facts, _missing = told(root)
    assert (facts["lxc"]["installed"], facts["lxc"]["version"]) == (True, None)


def test_incus(root):
    install(root, "/usr/libexec/incus/incusd")
    with daemon(root, "/var/lib/incus/unix.socket", INCUS):
        facts, missing = told(root)
    assert facts["incus"]["version"] == "6.0.4"
    assert (facts["incus"]["storage_driver"], facts["incus"]["drivers"]) == ("dir", "lxc | qemu")
    assert "incus" not in missing
