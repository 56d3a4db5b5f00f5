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
from ansible_collections.strata.virt.plugins.module_utils.engines import (
    bootunit,
    firmware,
    qcow2,
    qemu,
    qemu_img,
    qemu_run,
    systemd,
    unitfile,
)
from ansible_collections.strata.virt.plugins.module_utils.kinds import qemu_live, qemu_vm
from ansible_collections.strata.virt.plugins.module_utils.kinds.qemu_line import Line
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
    monkeypatch.setattr(qemu_run, "supervised", lambda: False)


class Qemu:
    """A running QEMU, as far as its monitor goes: it has what its command line says, and what it is told later."""

    def __init__(self, path: str, argv: list[str]) -> None:
        self.snapshots: list[str] = []
        self.told: list[str] = []
        self.deaf = False  # to the request to power off
        self.blocks: list[dict] = []
        self.backends: dict[str, dict] = {}
        self.peripheral: dict[str, str] = {}  # the bus of each device that has a name
        self.nets: list[str] = []
        self.usernet = USERNET
        self.balloon = 512 * 1024**2
        for flag, words in zip(argv, argv[1:]):
            if flag == "-drive":
                self._drive(words)
            elif flag == "-device":
                driver, _comma, rest = words.partition(",")
                self._device({"driver": driver, **self._options(rest)})
            elif flag == "-netdev":
                self.nets.append(self._options(words)["id"])
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    @staticmethod
    def _options(words: str) -> dict:
        return dict(word.split("=", 1) for word in words.replace(",,", "\0").split(",") if "=" in word)

    def _drive(self, words: str) -> None:
        options = self._options(words)
        block = {
            "qdev": "",
            **({"inserted": {"file": options["file"].replace("\0", ",")}} if "file" in options else {}),
        }
        if options["if"] == "none":
            self.backends[options["id"]] = block
        else:
            self.blocks.append(block)

    def _device(self, options: dict) -> None:
        name = options.get("id")
        if "drive" in options:
            place = f"/machine/peripheral/{name}/virtio-backend" if "virtio" in options["driver"] else name
            self.blocks.append({**self.backends.pop(options["drive"]), "qdev": place})
        if name:
            self.peripheral[name] = options.get("bus", "")

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
                        asked = json.loads(line)
                        answer = self._answer(lines, asked["execute"], asked.get("arguments", {}))
                        refused = isinstance(answer, StrataError)
                        self._say(lines, {"error": {"desc": str(answer)}} if refused else {"return": answer})

    @staticmethod
    def _say(lines, answer: dict) -> None:
        lines.write(json.dumps(answer) + "\n")
        lines.flush()

    def _answer(self, lines, command: str, given: dict):
        if command == "query-block":
            return self.blocks
        if command == "query-balloon":
            return {"actual": self.balloon}
        if command == "query-pci":
            return [{"devices": [{"qdev_id": ""}, *(self._port(name) for name in self.peripheral if "port" in name)]}]
        if command == "qom-list":
            there = [{"name": name, "type": "child<device>"} for name in self.peripheral]
            return [{"name": "type", "type": "string"}, *there]
        words = given.get("command-line") or command
        if words != "qmp_capabilities" and not words.startswith("info"):
            self.told.append(
                words if words == given.get("command-line") or not given else f"{words} {json.dumps(given)}"
            )
            self._say(lines, {"event": "STOP"})
        if words == "quit" or (words == "system_powerdown" and not self.deaf):
            self.quit()
        return self._human(words) if "command-line" in given else self._machine(command, given)

    def _port(self, name: str) -> dict:
        held = [{"qdev_id": one} for one, bus in self.peripheral.items() if bus == name]
        return {"qdev_id": name, "pci_bridge": {"bus": {}, "devices": held}}

    def _machine(self, command: str, given: dict):
        if command == "device_add":
            if "bad" in given["id"]:
                return StrataError("no such bus")
            self._device(given)
        elif command == "device_del":
            self.peripheral.pop(given["id"])
            self.blocks = [one for one in self.blocks if given["id"] not in one["qdev"].split("/")]
        elif command in ("eject", "blockdev-change-medium"):
            (block,) = [one for one in self.blocks if one["qdev"] == given["id"]]
            block.pop("inserted", None)
            if "filename" in given:
                block["inserted"] = {"file": given["filename"]}
        return {}

    def _human(self, words: str) -> str:
        verb, _space, rest = words.partition(" ")
        if words == "info usernet":
            return self.usernet
        if words == "info network":
            return "".join(f"virtio-net-pci.0: index=0,type=nic\n \\ {name}: index=0,type=user\n" for name in self.nets)
        if words == "info snapshots":
            return SNAPSHOTS + "".join(map(ROW.format, self.snapshots)) if self.snapshots else "There is no snapshot"
        if words == "savevm bad":
            return "Error: no room"
        if verb == "savevm":
            self.snapshots.append(rest)
        elif verb == "delvm":
            self.snapshots.remove(rest)
        elif verb == "drive_add":
            if "locked" in rest:
                return 'Failed to get "write" lock'
            self._drive(rest.partition(" ")[2])
            return "OK\r\n"
        elif verb == "netdev_add":
            self.nets.append(self._options(rest)["id"])
        elif verb == "netdev_del":
            self.nets.remove(rest)
        return ""


class Host:
    """A host on which VMs can be started."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.running: list[Qemu] = []
        self.argv: list[str] = []
        self.images: dict[str, list[str]] = {"/srv/tiny.qcow2": [], "/srv/more.qcow2": []}
        monkeypatch.setattr(command, "need", lambda program, package: program)
        monkeypatch.setattr(command, "run", self.run)
        monkeypatch.setattr(qcow2, "read", self.image)
        monkeypatch.setattr(qemu_img, "forget", lambda path, tag: self.images[path].remove(tag))

    def image(self, path: str):
        return qcow2.Image("qcow2", 1, snapshots=tuple(self.images[path])) if path in self.images else None

    def run(self, argv, **_options):
        self.argv = list(argv)
        (control,) = [word for word in argv if word.startswith("unix:")]
        machine = Qemu(control[5:].partition(",")[0], self.argv)
        machine.snapshots = self.images["/srv/tiny.qcow2"]
        self.running.append(machine)

    @property
    def vm(self) -> Qemu:
        return self.running[-1]

    def resource(self, **more) -> QemuVm:
        resource = QemuVm({**OPTIONS, "folder": str(self.folder), "timeout": 1, **more})
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
    assert "host" in line()
    assert "max,-cx16" in line(accel="tcg")


DRIVE = {"format": "qcow2", "interface": "virtio", "cache": "writeback"}
MACHINE = qemu.Machine("/var/lib/strata/qemu/tiny")


def line(**options) -> list[str]:
    """What a VM is started with."""
    spec = QemuVm({"name": "tiny", **options}).spec
    return Line(spec, MACHINE).words()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"machine": "pc"}, ["-machine", "pc"]),
        ({"cpu": "Nehalem"}, ["-cpu", "Nehalem"]),
        ({"smp": 4, "topology": {"cores": 2, "threads": 2}}, ["-smp", "4,cores=2,threads=2"]),
        ({"balloon": "64M"}, ["-device", "virtio-balloon-pci"]),
        ({"hotplug_ports": 2}, ["-device", "pcie-root-port,id=port2,chassis=2"]),
        ({"serial": {"type": "socket", "path": "/a,b"}}, ["-serial", "unix:/a,,b,server=on,wait=off"]),
        (
            {"drives": [{"file": "/a,b", **DRIVE, "format": "raw"}]},
            ["-drive", "file=/a,,b,format=raw,if=virtio,cache=writeback"],
        ),
        (
            {"drives": [{"id": "data", "file": "/d", **DRIVE, "cache": "none", "aio": "native", "discard": "unmap"}]},
            [
                "-drive",
                "if=none,id=drive-data,file=/d,format=qcow2,cache=none,discard=unmap,aio=native",
                "-device",
                "virtio-blk-pci,id=disk-data,drive=drive-data",
            ],
        ),
        (
            {"drives": [{"id": "a", "file": "/d", **DRIVE, "interface": "scsi", "serial": "S1", "boot_index": 1}]},
            [
                "-device",
                "virtio-scsi-pci,id=scsi0",
                "-drive",
                "if=none,id=drive-a,file=/d,format=qcow2,cache=writeback",
                "-device",
                "scsi-hd,id=disk-a,drive=drive-a,bus=scsi0.0,serial=S1,bootindex=1",
            ],
        ),
        (
            {"drives": [{"id": "cd", **DRIVE, "interface": "ide", "media": "cdrom"}]},
            ["-drive", "if=none,id=drive-cd,media=cdrom", "-device", "ide-cd,id=disk-cd,drive=drive-cd"],
        ),
        (
            {"networks": [{"type": "tap", "device": "t0", "model": "e1000", "mac": "52-54-00-AA-BB-CC"}]},
            [
                "-netdev",
                "tap,id=net0,ifname=t0,script=no,downscript=no",
                "-device",
                "e1000,netdev=net0,mac=52:54:00:aa:bb:cc,romfile=",
            ],
        ),
        ({"networks": [{"type": "bridge", "device": "br0"}]}, ["-netdev", "bridge,id=net0,br=br0"]),
        ({"networks": [{"type": "user", "restrict": True}]}, ["-netdev", "user,id=net0,restrict=on"]),
        (
            {"filesystems": [{"tag": "src", "path": "/srv/a,b", "type": "9p", "readonly": True}]},
            ["-virtfs", "local,path=/srv/a,,b,mount_tag=src,security_model=mapped-xattr,readonly=on,id=fs0"],
        ),
        (
            {"filesystems": [{"tag": "src", "path": "/srv", "type": "virtiofs"}], "memory": "64M"},
            [
                "-machine",
                "q35,memory-backend=memory",
                "-object",
                "memory-backend-memfd,id=memory,size=67108864,share=on",
            ],
        ),
        (
            {"filesystems": [{"tag": "src", "path": "/srv", "type": "virtiofs"}]},
            [
                "-chardev",
                "socket,id=fs0,path=/var/lib/strata/qemu/tiny/fs-src.sock",
                "-device",
                "vhost-user-fs-pci,chardev=fs0,tag=src",
            ],
        ),
        (
            {"tpm": True},
            [
                "-chardev",
                "socket,id=tpm,path=/var/lib/strata/qemu/tiny/tpm.sock",
                "-tpmdev",
                "emulator,id=tpm0,chardev=tpm",
                "-device",
                "tpm-crb,tpmdev=tpm0",
            ],
        ),
        ({"arguments": ["-no-reboot"]}, ["-no-reboot"]),
    ],
)
def test_each_option_has_its_words(options, words):
    argv = line(**options)
    assert any(argv[place : place + len(words)] == words for place in range(len(argv))), argv


def test_a_network_of_the_host_has_an_address_of_its_own():
    def address(name: str, place: int) -> str:
        networks = [{"type": "bridge", "device": "br0"}] * 2
        argv = Line(QemuVm({"name": name, "networks": networks}).spec, qemu.Machine(f"/x/{name}")).words()
        cards = [word for word in argv if word.startswith("virtio-net-pci")]
        return cards[place].partition("mac=")[2][:17]

    assert len({address(name, place) for name in ("a", "b") for place in (0, 1)}) == 4
    assert address("a", 0) == address("a", 0)
    assert address("a", 0).startswith("52:54:00:")


@pytest.mark.parametrize(
    ("word", "code", "more"), [("uefi", "/fw/plain.fd", None), ("secure", "/fw/secure.fd", "q35,smm=on")]
)
def test_firmware(monkeypatch, tmp_path, word, code, more):
    def described(code: str, features: list[str], **more) -> str:
        mapping = {
            "device": "flash",
            "executable": {"filename": code, "format": "raw"},
            "nvram-template": {"filename": code + ".vars", "format": "raw"},
        }
        targets = [{"architecture": "x86_64", "machines": ["pc-q35-*"]}]
        told = {"interface-types": ["uefi"], "targets": targets, "features": features, "mapping": mapping}
        return json.dumps({**told, **more})

    (tmp_path / "10-arm.json").write_text(described("/fw/arm.fd", [], targets=[{"architecture": "aarch64"}]))
    stateless = {"device": "memory", "filename": "/fw/sev.fd"}
    (tmp_path / "20-sev.json").write_text(described("/fw/sev.fd", ["amd-sev"], mapping=stateless))
    (tmp_path / "30-broken.json").write_text("{")
    (tmp_path / "40.json").write_text(described("/fw/secure.fd", ["requires-smm", "secure-boot", "enrolled-keys"]))
    (tmp_path / "50.json").write_text(described("/fw/keyless.fd", ["requires-smm", "secure-boot"]))
    (tmp_path / "60.json").write_text(described("/fw/plain.fd", ["acpi-s3", "amd-sev"]))
    monkeypatch.setattr(firmware, "FOLDERS", (str(tmp_path),))
    argv = line(firmware=word)
    assert f"if=pflash,format=raw,readonly=on,file={code}" in argv
    assert f"if=pflash,format=raw,file=/var/lib/strata/qemu/tiny/nvram.{word}.fd" in argv
    assert (more in argv) == bool(more)
    monkeypatch.setattr(firmware, "FOLDERS", ("/nonexistent",))
    with pytest.raises(StrataError, match=r"firmware: this host has no such firmware .* Install ovmf"):
        line(firmware=word)


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


def test_one_that_ends_while_it_is_looked_at_is_stopped(host, monkeypatch):
    host.apply()

    def reset(_told):
        raise ConnectionResetError

    monkeypatch.setattr(qemu_live, "forwards", reset)
    assert host.state(host.resource()).status == "stopped"


def test_one_that_ends_at_once_says_why(host, monkeypatch):
    start = qemu_run.start

    def start_and_die(machine, *more):
        start(machine, *more)
        Path(machine.log).write_text("a warning\nthe guest panicked\n")
        host.vm.quit()
        os.unlink(machine.socket)

    monkeypatch.setattr(qemu_run, "start", start_and_die)
    monkeypatch.setattr(QemuVm, "_speaking", lambda self, engine: contextlib.nullcontext())
    with pytest.raises(StrataError, match="did not take it: state is 'stopped'; a warning; the guest panicked"):
        host.apply()


def test_a_start_that_was_killed_leaves_nothing_unknown(host):
    host.apply()
    host.vm.quit()
    resource = host.resource(memory="1G")
    plan = resource.plan(host.state(resource))
    resource.configure(str(host.folder), plan)
    resource.start(str(host.folder), plan)  # and killed here
    assert host.state(resource).live["memory"] == 1024**3


SCSI = {"id": "data", "file": "/srv/tiny.qcow2", **DRIVE, "interface": "scsi"}
MORE = {"id": "more", "file": "/srv/more.qcow2", **DRIVE, "interface": "scsi"}
USER = {"type": "user", "forwards": ["tcp:127.0.0.1:2222:22"]}


def test_what_it_was_started_without_waits_too(host):
    host.apply()
    for _again in range(2):
        resource = host.resource(cpu="Nehalem", tpm=False, balloon="256M")
        plan = resource.plan(host.state(resource))
        assert plan.restart_required == ["balloon", "cpu"]
        host.apply(cpu="Nehalem", balloon="256M")


def test_the_balloon_is_live(host):
    host.apply(balloon="256M")
    assert host.apply(balloon="128M")
    assert not host.apply(balloon="128M")
    assert host.vm.told == [f'balloon {{"value": {size * 1024**2}}}' for size in (256, 128)]
    assert host.state(host.resource()).facts["balloon"] == host.vm.balloon


def test_disks_come_and_go(host):
    host.apply(drives=[SCSI])
    assert host.apply(drives=[SCSI, MORE])
    assert not host.apply(drives=[SCSI, MORE])
    assert [block["qdev"] for block in host.vm.blocks] == ["disk-data", "disk-more"]
    assert host.apply(drives=[SCSI])
    assert not host.apply(drives=[SCSI])
    assert [block["qdev"] for block in host.vm.blocks] == ["disk-data"]
    assert len(host.running) == 1


def test_a_disk_on_pci_takes_a_port(host):
    virtio = {**MORE, "interface": "virtio"}
    host.apply()
    host.apply(drives=[*OPTIONS["drives"], virtio])
    resource = host.resource(drives=[*OPTIONS["drives"], virtio])
    assert resource.plan(host.state(resource)).restart_required == ["drives[more]"]
    host.apply(drives=OPTIONS["drives"], hotplug_ports=1, restart="if_needed")
    assert host.apply(drives=[*OPTIONS["drives"], virtio], hotplug_ports=1)
    assert host.vm.peripheral["disk-more"] == "port1"
    networks = [*OPTIONS["networks"], USER, USER]
    host.vm.peripheral.pop("disk-more")
    with pytest.raises(StrataError, match="hotplug_ports: has no free port for all that is new"):
        host.apply(drives=[*OPTIONS["drives"], virtio], hotplug_ports=1, networks=networks)
    host.vm.peripheral["disk-more"] = "port1"
    assert host.apply(drives=OPTIONS["drives"], hotplug_ports=1)
    assert list(host.vm.peripheral) == ["port1"]


def test_a_disk_that_somebody_uses_is_an_error(host):
    host.images["/srv/locked.qcow2"] = []
    host.apply(drives=[SCSI])
    with pytest.raises(StrataError, match='refused the drive bad: Failed to get "write" lock'):
        host.apply(drives=[SCSI, {**MORE, "id": "bad", "file": "/srv/locked.qcow2"}])
    with pytest.raises(StrataError, match="no such bus"):
        host.apply(drives=[SCSI, {**MORE, "id": "bad"}])
    assert host.vm.told[-1] == "drive_del drive-bad"


def test_a_disk_that_the_guest_keeps_is_an_error(host, monkeypatch):
    host.apply(drives=[SCSI, MORE])
    monkeypatch.setattr(host.vm, "_machine", lambda command, given: {})
    with pytest.raises(StrataError, match="waited 1 seconds for the guest to let go of disk-more"):
        host.apply(drives=[SCSI])


def test_one_that_somebody_pulled_out_is_plugged_in_again(host):
    host.apply(drives=[SCSI, MORE])
    host.vm._machine("device_del", {"id": "disk-more"})
    assert host.apply(drives=[SCSI, MORE])
    assert [block["qdev"] for block in host.vm.blocks] == ["disk-data", "disk-more"]


def test_media_come_and_go(host):
    cdrom = {"id": "cd", **DRIVE, "interface": "ide", "media": "cdrom"}
    host.apply(drives=[SCSI, cdrom])
    full = {**cdrom, "file": "/srv/more.qcow2"}
    assert host.apply(drives=[SCSI, full])
    assert host.vm.blocks[0] == {"qdev": "disk-cd", "inserted": {"file": "/srv/more.qcow2"}}
    assert not host.apply(drives=[SCSI, full])
    host.vm._machine("eject", {"id": "disk-cd"})
    assert host.apply(drives=[SCSI, full])
    assert not host.apply(drives=[SCSI, cdrom]), "what is in it is somebody else's to say"
    assert host.apply(drives=[SCSI, {**cdrom, "file": ""}])
    assert host.vm.blocks[0] == {"qdev": "disk-cd"}


def test_networks_come_and_go_at_the_end(host, monkeypatch):
    monkeypatch.setattr(qemu, "check_bridge", lambda bridge: None)
    monkeypatch.setattr(qemu_vm, "_LINKS", "/proc/self/task")
    host.apply(networks=[USER], hotplug_ports=2)
    assert host.apply(networks=[USER, {"type": "bridge", "device": str(os.getpid())}], hotplug_ports=2)
    assert host.vm.peripheral["nic1"] == "port1"
    assert host.vm.nets == ["net0", "net1"]
    assert host.apply(networks=[USER], hotplug_ports=2)
    assert host.vm.nets == ["net0"]
    assert len(host.running) == 1
    host.apply(networks=[], hotplug_ports=2)
    assert host.vm.nets == ["net0"], "what it was started with stays until it is restarted"


def test_ports_are_forwarded_live(host):
    host.apply(networks=[USER])
    host.vm.usernet = USERNET.replace("34567", " 2222", 2)
    assert host.apply(networks=[{**USER, "forwards": ["tcp:127.0.0.1:8080:80", "udp::5353:53"]}])
    assert host.vm.told == [
        "hostfwd_remove net0 tcp:127.0.0.1:2222",
        "hostfwd_add net0 tcp:127.0.0.1:8080-:80",
        "hostfwd_add net0 udp::5353-:53",
    ]
    host.vm.told.clear()
    assert host.apply(networks=[{**USER, "forwards": ["tcp:127.0.0.1:2222:22", "udp::5353:53"]}])
    assert host.vm.told == [], "what is there, and what is gone, is left alone"
    resource = host.resource(networks=[{**USER, "forwards": ["tcp:127.0.0.1:0:80"]}])
    assert resource.plan(host.state(resource)).restart_required == ["networks[0]"]


def test_what_tells_it_what_it_is(host):
    one, two = ({"user_data": {"hostname": name}} for name in ("one", "two"))
    host.apply(cloud_init=one)
    (first,) = (host.folder / "tiny").glob("seed.*.iso")
    assert first.stat().st_mode & 0o777 == 0o600
    assert f"file={first},format=raw,if=virtio,readonly=on" in host.argv
    assert not host.apply(cloud_init=one)
    assert host.apply(cloud_init=two)
    assert first.exists(), "it runs with that"
    assert host.apply(cloud_init=two, restart="if_needed")
    (second,) = (host.folder / "tiny").glob("seed.*.iso")
    assert b'"hostname": "two"' in second.read_bytes()
    host.apply(state="absent")
    assert not second.exists()


@pytest.mark.parametrize(
    ("rules", "fits"),
    [
        ("allow br0\n", True),
        ("# allow br0\n", False),
        ("allow all\ndeny br0\n", False),
        ("include {more}\n", True),
        ("allow br1\n", False),
    ],
)
def test_a_bridge_is_for_vms_where_the_host_says_so(host, monkeypatch, tmp_path, rules, fits):
    (tmp_path / "more").write_text("allow all  # of them\n")
    (tmp_path / "bridge.conf").write_text(rules.format(more=tmp_path / "more"))
    (tmp_path / "br0").mkdir()
    monkeypatch.setattr(qemu, "BRIDGES", str(tmp_path / "bridge.conf"))
    monkeypatch.setattr(qemu_vm, "_LINKS", str(tmp_path))
    networks = [{"type": "bridge", "device": "br0"}]
    if fits:
        assert host.apply(networks=networks)
    else:
        with pytest.raises(StrataError, match=r"networks\.device: is not for VMs .got 'br0'.. Write 'allow br0'"):
            host.apply(networks=networks)
    with pytest.raises(StrataError, match=r"networks\.device: is not there"):
        host.apply(networks=[{"type": "tap", "device": "t7"}])
    assert ("link", "/br0") in host.resource(networks=networks).needs()


def test_autostart_needs_systemd(host):
    with pytest.raises(StrataError, match="autostart: needs systemd on the host, and root"):
        host.apply(autostart=True)
    assert host.running == []


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
    with pytest.raises(StrataError, match="waited 1 seconds for the guest to power off"):
        host.apply(state="stopped")
    assert host.apply(state="stopped", force=True)
    assert host.vm.told == ["system_powerdown", "quit"]
    assert not host.apply(state="stopped")


def test_what_a_stack_prunes_is_ended_as_it_was_declared(host):
    host.apply()
    host.vm.deaf = True
    gone = {"name": "tiny", "folder": str(host.folder), "state": "absent"}
    for applied, words in (
        ({**OPTIONS, "timeout": "1s"}, ["system_powerdown"]),
        ({**OPTIONS, "force": True}, ["system_powerdown", "quit"]),
    ):
        resource = QemuVm(gone, owner="lab", applied=applied)
        plan = resource.plan(host.state(resource))
        with contextlib.suppress(StrataError):
            carry_out(resource, QemuVm.open(resource.spec), plan)
        assert host.vm.told == words
    assert not host.state(host.resource()).exists


class Systemd:
    """A host that systemd runs: units are files in two folders."""

    def __init__(self, host: Host, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.units, self.runtime = folder / "etc", folder / "run"
        self.host = host
        monkeypatch.setattr(qemu_run, "supervised", lambda: True)
        monkeypatch.setattr(systemd, "UNITS", str(self.units))
        monkeypatch.setattr(systemd, "need", lambda: None)
        monkeypatch.setattr(systemd, "refresh", lambda *units: dict.fromkeys(units, "inactive"))
        monkeypatch.setattr(systemd, "start", self.start)
        monkeypatch.setattr(bootunit, "RUNTIME", str(self.runtime))

    def unit(self) -> unitfile.UnitFile:
        name = qemu.Machine(f"{self.host.folder}/tiny").unit
        (path,) = [place / name for place in (self.units, self.runtime) if (place / name).exists()]
        return unitfile.UnitFile(path.read_text())

    def start(self, _unit: str, _timeout: float) -> None:
        subprocess.run(bootunit.words(self.unit().last("Service", "ExecStartPre")), check=True)
        self.host.run(bootunit.words(self.unit().last("Service", "ExecStart")))


@pytest.fixture
def init(host, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "need", lambda program, package: f"/bin/{program}")
    return Systemd(host, tmp_path, monkeypatch)


def test_a_service_until_the_next_boot(host, init):
    assert host.apply()
    assert not host.apply()
    assert list(init.units.glob("*.service")) == []
    assert init.unit().last("Service", "Type") == "forking"
    assert init.unit().last("Unit", "RequiresMountsFor").split() == [f"{host.folder}/tiny", "/srv/tiny.qcow2"]
    assert host.state(host.resource()).facts["unit"].startswith("strata-qemu-tiny:")
    host.apply(state="absent", force=True)
    assert list(init.runtime.iterdir()) == []


def test_a_service_of_every_boot(host, init):
    host.apply(autostart=True, state="stopped")
    assert not host.apply(autostart=True, state="stopped")
    (link,) = (init.units / "multi-user.target.wants").iterdir()
    assert host.running == []
    before = init.unit().text
    assert host.apply(autostart=True, state="stopped", memory="1G", balloon="256M")
    assert init.unit().text != before, "the next boot starts it as it is declared now"
    assert '"value\\": 268435456' in init.unit().last("Service", "ExecStartPost")
    link.unlink()
    assert host.apply(autostart=True, state="stopped")
    assert host.apply(autostart=False, state="stopped")
    assert [path for path in init.units.rglob("*") if not path.is_dir()] == []


def test_a_service_that_is_behind_is_repaired(host, init):
    host.apply(autostart=True, state="stopped")
    path = host.folder / "tiny/vm.json"
    path.write_text(path.read_text().replace("512M", "1G"))  # and killed before the unit followed
    assert host.apply(memory="1G", autostart=True, state="stopped")
    assert "1048576k" in init.unit().last("Service", "ExecStart")


def test_programs_that_serve_it_are_services_too(host, init, monkeypatch):
    monkeypatch.setattr(qemu_run, "_VIRTIOFSD", ())
    shared = [{"tag": "src", "path": str(host.folder.parent), "type": "virtiofs", "readonly": True}]
    host.apply(autostart=True, state="stopped", tpm=True, filesystems=shared)
    names = sorted(path.name for path in init.units.glob("*.service"))
    stem = qemu.Machine(f"{host.folder}/tiny").unit.removesuffix(".service")
    texts = {name.removeprefix(stem): unitfile.UnitFile((init.units / name).read_text()) for name in names}
    assert list(texts) == [".service", ":fs-src.service", ":tpm.service"]
    assert texts[".service"].all("Unit", "Requires") == [f"{stem}:tpm.service", f"{stem}:fs-src.service"]
    assert texts[":fs-src.service"].last("Service", "ExecStart").endswith("--readonly")
    assert sorted(path.name for path in (init.units / f"{stem}.service.wants").iterdir()) == names[1:]
    host.apply(autostart=True, state="stopped", tpm=False, filesystems=[])
    assert list((init.units / f"{stem}.service.wants").iterdir()) == [], "none comes with the next boot"
    host.apply(autostart=True, tpm=False, filesystems=[])
    assert [path.name for path in init.units.glob("*.service")] == [f"{stem}.service"]
    host.apply(state="absent", force=True)
    assert not list(init.units.glob("*.service"))


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
        ({"networks": [{"type": "tap"}]}, "networks.device: is needed for tap"),
        ({"networks": [{"type": "user", "device": "t0"}]}, "networks.device: is of tap and bridge"),
        (
            {"networks": [{"type": "bridge", "device": "br0", "restrict": True}]},
            "networks.restrict: is of user networks",
        ),
        ({"drives": [{**DRIVE}]}, "drives.file: is needed for all but a cdrom"),
        ({"drives": [{**DRIVE, "media": "cdrom"}]}, "drives.interface: a cdrom is of ide or scsi"),
        ({"drives": [{**DRIVE, "media": "cdrom", "interface": "ide", "file": "/a"}]}, "drives.id: a cdrom needs one"),
        ({"drives": [{**DRIVE, "file": "/a", "aio": "native"}]}, "drives.aio: native needs cache"),
        ({"topology": {"cores": 3}}, "topology: makes 3 cpus, and smp says 2"),
        ({"balloon": "1G"}, "balloon: is more than memory"),
        ({"memory": "max"}, "memory: is no size"),
        ({"firmware": "secure", "machine": "pc"}, "firmware: needs the machine q35"),
        ({"hotplug_ports": 17}, "hotplug_ports: must be from 0 to 16"),
        ({"filesystems": [{"tag": "a,b", "path": "/a"}]}, "filesystems.tag: is no tag"),
        ({"cloud_init": {"user_data": None}}, "cloud_init.user_data: is needed"),
        (
            {"cloud_init": {"user_data": {"a": 1}, "meta_data": {"instance-id": "x"}}},
            "cloud_init.meta_data: is the option instance_id",
        ),
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
    qemu._version.cache_clear()
    assert f"thread={threads}" in emulation()
