# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that has a guest agent: waited for, and entered as the connection does, its host by this one's shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.engines import entering
from tests.lab import tiny_guest
from tests.lab.driver import call, run

FOLDER, NAME = Path("/var/lib/libvirt/images/strata-agent"), "strata-agent"
TOKEN = "strata-f00"


@pytest.fixture(scope="module", autouse=True)
def _machine():
    shutil.rmtree(FOLDER, ignore_errors=True)  # of a run that was cut short
    FOLDER.mkdir()
    init = Path(__file__).with_name("init")
    spec = {
        "name": NAME,
        "memory": "256M",
        **tiny_guest.build(FOLDER, init, ("virtio_pci", "virtio_console"), ["qemu-ga"]),
        "guest_agent": True,
        "wait_for": ["agent"],
    }
    try:
        done = call("libvirt_domain", spec)
        assert done["changed"]
        # It was waited for: the agent answers now.
        assert run("virsh", "qemu-agent-command", NAME, '{"execute": "guest-ping"}') == '{"return":{}}'
        yield
    finally:
        call("libvirt_domain", {"name": NAME, "state": "absent", "force": True})
        shutil.rmtree(FOLDER)


def entered(command: str, stdin: bytes = b"", user: str = "root") -> entering.Outcome:
    """What the connection makes of a command in the machine."""
    argv = entering.entering("libvirt", NAME, user, TOKEN, command, reads=bool(stdin))
    done = subprocess.run(argv, input=stdin, capture_output=True, check=False)
    return entering.outcome(TOKEN, done.returncode, done.stdout, done.stderr)


def test_a_command_runs_in_it_and_is_what_it_is_there():
    found = entered("cat /proc/version >&2; id -un; pwd; cat; exit 7", b"\0in\n")
    assert (found.status, found.stdout, found.entered) == (7, b"root\n/root\n\0in\n", True)
    assert found.stderr.startswith(b"Linux version")
    assert entered("id -un; pwd", user="worker").stdout == b"worker\n/tmp\n"


def test_a_big_file_goes_both_ways():
    data = os.urandom(5 << 20)
    assert entered("cat >/tmp/big", data).status == 0
    size = entering.WAYS["libvirt"].most
    parts = [entered(f"tail -c +{start + 1} /tmp/big | head -c {size}").stdout for start in range(0, len(data), size)]
    assert b"".join(parts) == data
    assert entered("ls /tmp").stdout == b"big\n", "what was read from was left"


def test_a_machine_that_goes_meanwhile_is_gone():
    threading.Thread(target=lambda: (time.sleep(2), run("virsh", "destroy", NAME))).start()
    found = entered("sleep 60")
    assert found.gone
    assert not entered("true").entered
