# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entering a virtual machine by its agent, with libraries in libvirt's place that do here what an agent does."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.strata.virt.plugins.module_utils.engines import entering

LIBVIRT = """
class libvirtError(Exception):
    pass
class Machine:
    pass
class Daemon:
    def lookupByName(self, name):
        if name != "vm":
            raise libvirtError("Domain not found: no domain with matching name '%s'" % name)
        return Machine()
def open(url):
    assert url == "qemu:///system"
    return Daemon()
def registerErrorHandler(handler, context):
    pass
"""
# QEMU Guest Agent Protocol Reference: guest-exec, guest-exec-status, guest-file-open, guest-file-write.
AGENT = """
import base64, json, os, subprocess
import libvirt
ran, files = {}, {}
def b64(data):
    return {"out-data": base64.b64encode(data).decode()} if data else {}
def qemuAgentCommand(machine, words, timeout, flags):
    assert len(words) < 4 << 20
    asked = json.loads(words)
    given = asked["arguments"]
    given = {key.replace("-", "_"): value for key, value in given.items()}
    said = globals()[asked["execute"].replace("-", "_")](**given)
    return json.dumps({"return": said})
def guest_exec(path, arg, env, capture_output, input_data=""):
    if "stop the machine" in arg:
        raise libvirt.libvirtError("Guest agent is not responding: QEMU guest agent is not connected")
    env = dict(one.split("=", 1) for one in env)
    done = subprocess.run([path, *arg], env={**env, "TMPDIR": os.environ["TMPDIR"]}, input=base64.b64decode(input_data),
                          capture_output=True)
    ran[len(ran)] = [False, done]
    return {"pid": len(ran) - 1}
def guest_exec_status(pid):
    known = ran[pid]
    if not known[0]:
        known[0] = True
        return {"exited": False}
    done = known[1]
    err = {"err-data": base64.b64encode(done.stderr).decode()} if done.stderr else {}
    how = {"signal": -done.returncode} if done.returncode < 0 else {"exitcode": done.returncode}
    return {"exited": True, **how, **b64(done.stdout), **err}
def guest_file_open(path, mode):
    files[len(files)] = open(path, mode + "b")
    return len(files) - 1
def guest_file_write(handle, buf_b64):
    return {"count": files[handle].write(base64.b64decode(buf_b64)), "eof": False}
def guest_file_close(handle):
    files[handle].close()
    return {}
"""


@pytest.fixture
def enter(tmp_path):
    (tmp_path / "libvirt.py").write_text(LIBVIRT)
    (tmp_path / "libvirt_qemu.py").write_text(AGENT)
    rooms = tmp_path / "tmp"
    rooms.mkdir()

    def run(*argv: str, guest: str = "vm", stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        script = f"guest=$1\nshift\n{entering.WAYS['libvirt'].enter}"
        env = {**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(rooms)}
        done = subprocess.run(
            ["/bin/sh", "-c", script, "strata", guest, *argv], input=stdin, env=env, capture_output=True, check=False
        )
        assert list(rooms.iterdir()) == [], "what it read was left in the machine"
        return done.returncode, done.stdout, done.stderr

    return run


def test_a_program_is_what_it_is_there(enter):
    script = 'cat; printf "%s|" "$@" "$PATH" >&2; exit 7'
    words = ("a b", "it's", '"', "$HOME", "ö\n")
    status, out, err = enter("/bin/sh", "-c", script, "sh", *words, stdin=b"\0in\n")
    assert (status, out) == (7, b"\0in\n")
    assert err.decode() == "".join(f"{word}|" for word in (*words, entering.PATH))


def test_what_is_killed_says_so(enter):
    assert enter("/bin/sh", "-c", "kill -KILL $$")[0] == 137


def test_what_is_too_big_for_a_message_is_read_from_a_file(enter):
    big = os.urandom(1 << 20) * 3
    assert (
        enter("sha256sum", stdin=big)[1]
        == subprocess.run(["sha256sum"], input=big, capture_output=True, check=True).stdout
    )


@pytest.mark.parametrize(
    ("guest", "argv", "status", "said"),
    [
        ("other", ("true",), 69, b"Domain not found"),
        ("vm", ("stop the machine", "stop the machine"), 137, b"not connected"),
    ],
)
def test_a_machine_that_can_not_be_entered_is_told_from_one_that_went(enter, guest, argv, status, said):
    found = enter(*argv, guest=guest)
    assert found[0] == status
    assert said in found[2]
