# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu_vm, against something that speaks QEMU's machine protocol and knows what a monitor prints."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import command
from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, verify
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import State
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import qcow2, qemu, qemu_img
from ansible_collections.strata.virt.plugins.module_utils.kinds import qemu_vm
from ansible_collections.strata.virt.plugins.module_utils.kinds.qemu_vm import QemuVm

# As QEMU 7.2 prints them.
USERNET = """\
Hub -1 (net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[ESTABLISHED]   35       127.0.0.1 34567       10.0.2.15    22     0     0
  TCP[HOST_FORWARD]  12       127.0.0.1 34567       10.0.2.15    22     0     0
  UDP[HOST_FORWARD]  13       127.0.0.1  5353       10.0.2.15    53     0     0
"""
SNAPSHOTS = """\
List of snapshots present on all disks:
ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT
"""
ROW = "--        {:<17} 608 MiB 2026-11-22 22:04:55 00:01:05.311\n"
# As a module's argument_spec completes them.
OPTIONS = {
    "name": "tiny",
    "memory": "512M",
    "smp": 2,
    "drives": [{"file": "/srv/tiny.qcow2", "format": "qcow2", "interface": "virtio", "cache": "none"}],
    "networks": [{"type": "user", "forwards": ["tcp:127.0.0.1:0:22"]}],
    "serial": {"type": "file", "path": "/var/log/tiny.log"},
}


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    """Whatever this machine has."""
    monkeypatch.setattr(qemu, "accelerator", lambda: "tcg")
    monkeypatch.setattr(qemu, "emulation", lambda: "tcg,thread=single")


class Qemu:
    """A running QEMU, as far as its monitor goes."""

    def __init__(self, path: str) -> None:
        self.snapshots: list[str] = []
        self.told: list[str] = []
        self.deaf = False  # to the request to power off
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def quit(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._server.accept()
                with client, client.makefile("rw") as lines:
                    self._say(lines, {"QMP": {"version": {}}})
                    for line in lines:
                        self._answer(lines, json.loads(line))

    @staticmethod
    def _say(lines, answer: dict) -> None:
        lines.write(json.dumps(answer) + "\n")
        lines.flush()

    def _answer(self, lines, asked: dict) -> None:
        words = asked.get("arguments", {}).get("command-line") or asked["execute"]
        if words != "qmp_capabilities" and not words.startswith("info"):
            self.told.append(words)
            self._say(lines, {"event": "STOP"})
        if words == "quit" or (words == "system_powerdown" and not self.deaf):
            self.quit()
        answer = ""
        if words == "info usernet":
            answer = USERNET
        elif words == "info snapshots":
            answer = SNAPSHOTS + "".join(map(ROW.format, self.snapshots)) if self.snapshots else "There is no snapshot"
        elif words == "savevm bad":
            answer = "Error: no room"
        elif words.startswith("savevm"):
            self.snapshots.append(words.split()[1])
        elif words.startswith("delvm"):
            self.snapshots.remove(words.split()[1])
        self._say(lines, {"return": answer})


class Host:
    """A host on which VMs can be started."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.running: list[Qemu] = []
        self.argv: list[str] = []
        self.images: dict[str, list[str]] = {"/srv/tiny.qcow2": []}
        monkeypatch.setattr(command, "need", lambda program, package: program)
        monkeypatch.setattr(command, "run", self.run)
        monkeypatch.setattr(qcow2, "read", self.image)
        monkeypatch.setattr(qemu_img, "forget", lambda path, tag: self.images[path].remove(tag))

    def image(self, path: str):
        return qcow2.Image("qcow2", 1, snapshots=tuple(self.images[path])) if path in self.images else None

    def run(self, argv, **_options):
        self.argv = list(argv)
        (control,) = [word for word in argv if word.startswith("unix:")]
        machine = Qemu(control[5:].partition(",")[0])
        machine.snapshots = self.images["/srv/tiny.qcow2"]
        self.running.append(machine)

    @property
    def vm(self) -> Qemu:
        return self.running[-1]

    def resource(self, **more) -> QemuVm:
        resource = QemuVm({**OPTIONS, "folder": str(self.folder), "timeout": 3, **more})
        resource.promised = frozenset({("path", path) for path in self.images})
        return resource

    def state(self, resource: QemuVm) -> State:
        return read_one(resource, QemuVm.open(resource.spec))

    def apply(self, **more) -> bool:
        resource = self.resource(**more)
        plan = resource.plan(self.state(resource))
        carry_out(resource, QemuVm.open(resource.spec), plan)
        verify(resource, str(self.folder), self.state(resource))
        return bool(plan)


@pytest.fixture
def host(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="vm") as folder:  # pytest's own are too deep for a socket's path
        made = Host(Path(folder) / "vms", monkeypatch)
        yield made
        for machine in made.running:
            machine.quit()


def test_started_once(host):
    assert host.apply()
    assert not host.apply()
    assert len(host.running) == 1


def test_the_port_that_was_chosen_is_told(host):
    host.apply()
    facts = host.state(host.resource()).facts
    assert facts["ports"] == [
        {"protocol": "tcp", "address": "127.0.0.1", "port": 34567, "guest_port": 22},
        {"protocol": "udp", "address": "127.0.0.1", "port": 5353, "guest_port": 53},
    ]


def test_the_command_line(host, monkeypatch):
    host.apply(arguments=["-no-reboot"])
    argv = host.argv
    assert argv[argv.index("-m") + 1] == f"{512 * 1024}k"
    assert argv[argv.index("-drive") + 1] == "file=/srv/tiny.qcow2,format=qcow2,if=virtio,cache=none"
    assert argv[argv.index("-netdev") + 1] == "user,id=net0,hostfwd=tcp:127.0.0.1:0-:22"
    assert argv[argv.index("-serial") + 1] == "file:/var/log/tiny.log"
    assert argv[argv.index("-accel") + 1] == "tcg,thread=single"
    assert argv[argv.index("-cpu") + 1] == "max,-cx16"
    assert argv[-1] == "-no-reboot"
    monkeypatch.setattr(qemu, "accelerator", lambda: "kvm")
    assert "host" in qemu_vm.command_line({})
    assert "max,-cx16" in qemu_vm.command_line({"accel": "tcg"})


def test_a_path_with_a_comma_stays_one_path():
    drive = {"file": "/a,b", "format": "raw", "interface": "virtio", "cache": "none"}
    assert "file=/a,,b,format=raw,if=virtio,cache=none" in qemu_vm.command_line({"drives": (drive,)})


def test_networks_on_the_host():
    argv = qemu_vm.command_line({"networks": ({"type": "tap", "device": "t0"}, {"type": "bridge", "device": "br0"})})
    assert "tap,id=net0,ifname=t0,script=no,downscript=no" in argv
    assert "bridge,id=net1,br=br0" in argv


def test_a_change_waits_for_a_restart(host):
    host.apply()
    resource = host.resource(memory="1G")
    plan = resource.plan(host.state(resource))
    assert (plan.steps, plan.restart_required) == (("configure",), ["memory"])
    assert host.apply(memory="1G")
    assert not host.apply(memory="1G")
    assert host.apply(memory="1G", restart="if_needed")
    assert f"{1024**2}k" in host.argv
    assert len(host.running) == 2


def test_a_start_that_was_killed_leaves_nothing_unknown(host):
    host.apply()
    host.vm.quit()
    resource = host.resource(memory="1G")
    plan = resource.plan(host.state(resource))
    resource.configure(str(host.folder), plan)
    resource.start(str(host.folder), plan)  # and killed here
    assert host.state(resource).live["memory"] == 1024**3


def test_snapshots_are_taken_and_removed(host):
    assert host.apply(snapshots=["clean", "a"])
    assert not host.apply(snapshots=["a", "clean"])
    assert host.apply(snapshots=["clean"])
    assert host.vm.told == ["savevm a", "savevm clean", "delvm a"]
    assert not host.apply()


def test_a_snapshot_that_fails_is_an_error(host):
    host.apply()
    with pytest.raises(StrataError, match="no room"):
        host.apply(snapshots=["bad"])


def test_snapshots_of_a_stopped_vm(host):
    host.apply(snapshots=["clean", "a"])
    host.apply(state="stopped")
    assert not host.apply(state="stopped", snapshots=["clean", "a"])
    assert host.apply(state="stopped", snapshots=["clean"])
    assert host.images["/srv/tiny.qcow2"] == ["clean"]
    with pytest.raises(StrataError, match="can be taken of a running VM only"):
        host.apply(state="stopped", snapshots=["clean", "b"])


def test_started_from_a_snapshot(host):
    host.apply(snapshots=["clean"])
    host.apply(state="stopped")
    assert host.apply(start_from="clean")
    assert host.argv[-2:] == ["-loadvm", "clean"]
    assert not host.apply(start_from="gone"), "it runs: where it started from is past"
    host.apply(state="stopped")
    with pytest.raises(StrataError, match="start_from: is no snapshot of its disks"):
        host.apply(start_from="gone")


def test_stopping_waits_for_the_guest(host):
    host.apply()
    host.vm.deaf = True
    with pytest.raises(StrataError, match="waited 3 seconds for the guest to power off"):
        host.apply(state="stopped")
    assert host.apply(state="stopped", force=True)
    assert host.vm.told == ["system_powerdown", "quit"]
    assert not host.apply(state="stopped")


def test_absent_leaves_what_others_put_there(host):
    host.apply()
    (host.folder / "tiny/disk.qcow2").touch()
    assert host.apply(state="absent")
    assert os.listdir(host.folder / "tiny") == ["disk.qcow2"]
    assert not host.apply(state="absent")
    (host.folder / "tiny/disk.qcow2").unlink()
    host.apply()
    host.apply(state="absent", force=True)
    assert os.listdir(host.folder) == []


def test_all_of_a_folder_are_told(host):
    host.apply()
    (host.folder / "other").mkdir()
    found = QemuVm.read_many(str(host.folder), None)
    assert {name: state.status for name, state in found.items()} == {"tiny": "running", "other": "absent"}


def test_a_broken_description_is_named(host):
    host.apply()
    (host.folder / "tiny/vm.json").write_text("{")
    with pytest.raises(StrataError, match=r"vm\.json is no JSON"):
        host.apply()


def test_a_folder_too_deep_for_a_socket_is_named(host):
    host.folder = host.folder / ("x" * 90)
    with pytest.raises(StrataError, match="folder: a socket's path can't be longer"):
        host.apply()


def test_qemus_own_words_are_in_the_error(host, monkeypatch):
    def refuse(*_argv, **_options):
        raise StrataError("qemu-system-x86_64 failed with status 1: no such disk")

    monkeypatch.setattr(command, "run", refuse)
    with pytest.raises(StrataError, match="no such disk"):
        host.apply()
    assert host.state(host.resource()).status == "stopped"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"initrd": "/initrd"}, "initrd: needs kernel"),
        ({"networks": [{"forwards": ["22"]}]}, "networks.forwards: has '22'"),
        ({"smp": 0}, "smp: must be 1 or more"),
        ({"name": "a/b"}, "name: is no valid name"),
        ({"drives": [{"file": "/a"}, {"file": "/a"}]}, "drives: names /a twice"),
        ({"memory": "lots"}, "memory: is no size"),
    ],
)
def test_bad_options_are_named(host, options, words):
    with pytest.raises(StrataError) as refused:
        host.resource(**options)
    assert words in str(refused.value)


def test_a_kernel_that_is_not_there_is_named(host):
    resource = host.resource(kernel="/nonexistent")
    with pytest.raises(StrataError, match="kernel: is not there"):
        resource.plan(host.state(resource))


# The fixture above puts others in their place.
accelerator, emulation = qemu.accelerator, qemu.emulation


@pytest.mark.parametrize(
    ("flags", "opens", "expected"),
    [
        ("fpu vmx sse", True, "kvm"),
        ("fpu svm sse", True, "kvm"),
        ("fpu vmx sse", False, "tcg"),
        ("fpu sse", True, "tcg"),
    ],
)
def test_kvm_is_used_where_it_works(monkeypatch, flags, opens, expected):
    monkeypatch.setattr(qemu.files, "read", lambda path: f"flags\t\t: {flags}\n")
    monkeypatch.setattr(qemu.os, "access", lambda path, mode: opens)
    assert accelerator() == expected


@pytest.mark.parametrize(
    ("said", "threads"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "single"),
        ("QEMU emulator version 8.0.5", "single"),
        ("QEMU emulator version 8.1.0", "multi"),
        ("QEMU emulator version 10.0.8 (Debian 1:10.0.8+ds-0+deb13u1)", "multi"),
        ("?", "single"),
    ],
)
def test_vcpus_have_threads_of_their_own_where_that_is_safe(monkeypatch, said, threads):
    monkeypatch.setattr(command, "need", lambda program, package: program)
    monkeypatch.setattr(command, "run", lambda argv: subprocess.CompletedProcess(argv, 0, said, ""))
    assert f"thread={threads}" in emulation()
