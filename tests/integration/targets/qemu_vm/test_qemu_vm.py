# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu_vm, looked at through the process, systemd, the sockets that it holds, and what its guest says."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab import tiny_guest
from tests.lab.convergence import Case, Convergence, Harness
from tests.lab.driver import Failed, call, call_as, run

TOP = Path("/srv/strata-test-vm")
VMS = Path("/var/lib/strata/qemu")
FORCE = {"force": True, "timeout": "60"}
MODULES = (
    *("virtio_pci", "virtio_balloon", "virtio_blk", "virtio_scsi", "sd_mod", "sr_mod", "ata_piix", "ahci"),
    *("virtio_net", "button", "evdev", "virtiofs", "9p", "9pnet_virtio", "isofs", "tpm_crb"),
)
SMALL = {"memory": "64M", "accel": "tcg"}


def process(name: str) -> tuple[int, list[str]] | None:
    """The QEMU of that name, by its number and its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            argv = path.read_text().split("\0")[:-1]
        except OSError:
            continue
        if argv and argv[0].endswith("qemu-system-x86_64") and argv[argv.index("-name") + 1] == name:
            return int(path.parent.name), argv
    return None


def names(line: str) -> set[str]:
    """The words of a line of the guest's; of paths, the last part."""
    return {word.rpartition("/")[2] for word in line.split()}


def after(argv: list[str], *flags: str) -> list[str]:
    return [word for flag, word in zip(argv, argv[1:]) if flag in flags]


def unit(name: str) -> str:
    return f"strata-qemu-{name}.service"


def look(name: str) -> dict | None:
    found = process(name)
    if found is None and not (VMS / name / "vm.json").exists():
        return None
    argv = found[1] if found else []
    return {
        "runs": found is not None,
        "memory": after(argv, "-m"),
        "cpus": after(argv, "-smp"),
        "cards": after(argv, "-netdev"),
        "unit": run("systemctl", "is-active", unit(name), check=False),
        "boot": run("systemctl", "is-enabled", unit(name), check=False) == "enabled",
    }


def end(name: str) -> None:
    found = process(name)
    assert found
    os.kill(found[0], signal.SIGKILL)
    waited(lambda: run("systemctl", "is-active", unit(name), check=False) == "failed", "systemd to see it")


def waited(ask, what: str, seconds: float = 60):
    until = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.2)
    return answer


class Forced(Case):
    """Nothing runs in these that would heed the power button."""

    def options(self, name: str, spec: dict) -> dict:
        return {**super().options(name, spec), **FORCE}


@pytest.fixture(scope="module", autouse=True)
def folder():
    TOP.mkdir()
    for name in ("a", "b"):
        run("qemu-img", "create", "-q", "-f", "qcow2", str(TOP / f"{name}.qcow2"), "8M")
    (TOP / "cd.iso").write_bytes(b"first" + bytes(1 << 20))
    yield
    shutil.rmtree(TOP)


class TestQemuVm(Convergence):
    case = Forced(
        kind="qemu_vm",
        info="qemu_vm_info",
        a={**SMALL, "networks": [{"type": "user", "restrict": True}], "autostart": True},
        b={**SMALL, "memory": "96M", "smp": 2, "restart": "if_needed"},
        idle={"state": "stopped"},
        look=look,
        seen_a={
            "runs": True,
            "memory": ["65536k"],
            "cpus": ["1"],
            "cards": ["user,id=net0,restrict=on"],
            "unit": "active",
            "boot": True,
        },
        seen_b={"runs": True, "memory": ["98304k"], "cpus": ["2"], "unit": "active"},
        drifts={
            "ended": end,
            "not started at boot": lambda name: run("systemctl", "disable", "--quiet", unit(name)),
            "frozen, and ended by systemd": lambda name: run("systemctl", "kill", "--signal=KILL", unit(name)),
        },
        touches=(
            "engines.qemu.Machine.save",
            "engines.qemu.Machine.power_down",
            "engines.qemu_run.write",
            "engines.qemu_run.start",
        ),
        bad=(
            ("memory", "12X"),
            ("kernel", "/nowhere"),
            ("cpu", "a\nb"),
            ("drives", [{"file": "/nowhere"}]),
            ("networks", [{"type": "tap"}]),
            ("cloud_init", {"user_data": "hostname: web"}),
            ("arguments", ["a\0b"]),
        ),
    )

    def test_what_the_documentation_begins_with(self):
        run("qemu-img", "create", "-q", "-f", "qcow2", str(TOP / "tiny.qcow2"), "64M")
        spec = {
            **SMALL,
            "memory": "512M",
            "smp": 2,
            "drives": [{"file": str(TOP / "tiny.qcow2"), "interface": "virtio", "cache": "none"}],
            "networks": [{"type": "user", "forwards": ["tcp:127.0.0.1:2222:22"]}],
            "serial": {"type": "file", "path": str(TOP / "tiny.log")},
        }
        assert self.foretold(spec)["changed"]
        self.unchanged(spec)
        assert "drive-" not in " ".join(after(process(self.case.name)[1], "-device"))
        socket.create_connection(("127.0.0.1", 2222)).close()
        assert (TOP / "tiny.log").exists()
        with pytest.raises(Failed, match="in use by process"):
            call("qemu_image", {"path": str(TOP / "tiny.qcow2"), "size": "128M"})
        fewer = {**spec, "networks": [{"type": "user", "forwards": ["tcp:127.0.0.1:2223:22", "tcp::2224:80"]}]}
        pid = process(self.case.name)[0]
        assert self.foretold(fewer)["restart_required"] == []
        self.unchanged(fewer)
        assert process(self.case.name)[0] == pid
        socket.create_connection(("127.0.0.1", 2223)).close()
        socket.create_connection(("127.0.0.1", 2224)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 2222))

    def test_networks_of_the_host(self):
        run("ip", "link", "add", "strata-br", "type", "bridge")
        run("ip", "tuntap", "add", "dev", "strata-t0", "mode", "tap")
        try:
            tap = [{"type": "tap", "device": "strata-t0"}]
            with pytest.raises(Failed, match=r"networks.device: is not for VMs .*allow strata-br"):
                self.apply({**SMALL, "networks": [{"type": "bridge", "device": "strata-br"}]})
            assert self.foretold({**SMALL, "networks": tap})["changed"]
            self.unchanged({**SMALL, "networks": tap})
            held = Path(f"/proc/{process(self.case.name)[0]}/fdinfo").glob("*")
            assert any("iff:\tstrata-t0" in path.read_text() for path in held)
        finally:
            self.apply({"state": "absent"})
            run("ip", "link", "del", "strata-t0")
            run("ip", "link", "del", "strata-br")

    def test_a_name_that_somebody_else_has(self):
        path = Path("/etc/systemd/system") / unit(self.case.name)
        path.write_text("[Service]\nExecStart=/bin/true\n")
        try:
            with pytest.raises(Failed, match="was written by somebody else"):
                self.apply(self.case.a)
            assert path.read_text().startswith("[Service]")
        finally:
            path.unlink()
            run("systemctl", "daemon-reload")

    def test_qemus_own_words(self):
        with pytest.raises(Failed, match="no-such-device"):
            self.apply({**SMALL, "arguments": ["-device", "no-such-device"]})
        self.apply(self.case.a | {"arguments": []})
        self.sees(self.case.seen_a)

    def test_firmware_and_tpm(self):
        console = TOP / "uefi.log"
        spec = {"memory": "256M", "accel": "tcg", "firmware": "uefi", "tpm": True, "serial": {"path": str(console)}}
        assert self.foretold(spec)["changed"]
        self.unchanged(spec)
        waited(lambda: b"BdsDxe" in console.read_bytes(), "the firmware to say something")
        helper = f"strata-qemu-{self.case.name}:tpm.service"
        assert run("systemctl", "is-active", helper) == "active"
        assert (VMS / self.case.name / "nvram.uefi.fd").stat().st_size > 0
        assert list((VMS / self.case.name / "tpm").iterdir())
        self.apply({"state": "absent"})
        waited(lambda: run("systemctl", "is-active", helper, check=False) != "active", "the TPM to end")
        assert not (VMS / self.case.name).exists()

    def test_snapshots(self):
        spec = {**SMALL, "drives": [{"file": str(TOP / "a.qcow2"), "interface": "virtio"}], "snapshots": ["clean"]}
        assert self.foretold(spec)["changed"]
        self.unchanged(spec)
        self.apply({"state": "stopped"})
        assert "clean" in run("qemu-img", "snapshot", "-l", str(TOP / "a.qcow2"))
        assert self.apply({**spec, "start_from": "clean"})["changed"]
        self.sees({"runs": True})
        assert "-loadvm" not in process(self.case.name)[1], "it would be gone back to at each boot"
        self.apply({"snapshots": []})
        assert "clean" not in run("qemu-img", "snapshot", "--force-share", "-l", str(TOP / "a.qcow2"))

    def test_a_disk_that_can_not_be_had(self):
        base, layer = TOP / "base.qcow2", TOP / "layer.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", str(base), "8M")
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base.name, "-F", "qcow2", str(layer))
        base.rename(TOP / "away")
        spec, second = {**SMALL, "drives": [{"file": str(layer)}]}, self.case.another(self.case.name, "-second")
        with pytest.raises(Failed, match=rf"drives\.file: lies on {base}, which is gone"):
            self.apply(spec)
        assert look(self.case.name) is None
        (TOP / "away").rename(base)
        self.apply(spec)
        for _run in range(2):
            with pytest.raises(Failed, match='Failed to get "write" lock'):
                self.apply(spec, second)
        assert (look(self.case.name)["runs"], look(second)["runs"]) == (True, False)
        self.apply({"state": "stopped"})
        self.apply(spec, second)
        self.sees({"runs": True}, second)

    def test_a_guest_that_does_not_let_go_keeps_its_disk(self):
        """Nothing runs in it that could: what is declared is stored, what runs is as it was, and each run says so."""
        one, two = ({"id": name, "file": str(TOP / f"{name}.qcow2")} for name in "ab")
        spec = {**SMALL, "hotplug_ports": 1, "drives": [one]}
        self.apply(spec)
        pid = process(self.case.name)[0]
        assert self.apply({**spec, "drives": [one, two]})["restart_required"] == []
        for _run in range(2):
            with pytest.raises(Failed, match="waited 3 seconds for the guest to let go of disk-b"):
                call("qemu_vm", {"name": self.case.name, **spec, "timeout": "3"})
        assert process(self.case.name)[0] == pid
        assert str(TOP / "b.qcow2") in self.monitor("query-block")

    def monitor(self, command: str) -> str:
        """What QEMU answers to a command."""
        with socket.socket(socket.AF_UNIX) as speak:
            speak.connect(str(VMS / self.case.name / "qmp.sock"))
            lines = speak.makefile("rw")
            lines.readline()  # its greeting
            for word in ("qmp_capabilities", command):
                print(f'{{"execute": "{word}"}}', file=lines, flush=True)
                answer = lines.readline()
            return answer

    def test_without_root_and_systemd(self):
        user = pwd.getpwnam("nobody")
        home = TOP / "home"
        home.mkdir()
        os.chown(home, user.pw_uid, user.pw_gid)
        shared = [{"tag": "share", "path": str(home), "type": "virtiofs"}]
        spec = {"name": self.case.name, "folder": str(home), **SMALL, **FORCE, "tpm": True, "filesystems": shared}
        assert call_as("nobody", "qemu_vm", spec)["changed"]
        assert call_as("nobody", "qemu_vm", spec)["changed"] is False
        pid, argv = process(self.case.name)
        assert (os.stat(f"/proc/{pid}").st_uid, after(argv, "-m")) == (user.pw_uid, ["65536k"])
        with pytest.raises(Failed, match="autostart: needs systemd on the host, and root"):
            call_as("nobody", "qemu_vm", {**spec, "autostart": True})
        assert call_as("nobody", "qemu_vm", {**spec, "state": "absent"})["changed"]
        assert process(self.case.name) is None
        waited(lambda: subprocess.run(["pgrep", "-f", str(home)], check=False).returncode == 1, "all to end")
        assert list(home.iterdir()) == []


class TestAGuest(Harness):
    """One that boots, and all that it can do while it runs."""

    case = Forced(kind="qemu_vm", info="qemu_vm_info", a={}, b={}, look=look, seen_a={}, seen_b={}, name="strata-guest")

    def says(self, *words: str, since: int = 0) -> int:
        """Wait until the guest says a line with all of these; where it ends."""

        def said() -> int:
            text = self.console.read_text(errors="replace")[since:]
            lines = [line for line in text.splitlines() if all(word in names(line) for word in words)]
            return since + text.rindex(lines[-1]) + len(lines[-1]) if lines else 0

        return waited(said, f"the guest to say {' '.join(words)}", 180)

    def now(self, *words: str) -> None:
        """Wait until the guest says so from here on."""
        self.says(*words, since=self.console.stat().st_size)

    def lacks(self, word: str) -> None:
        def gone() -> bool:
            last = [line for line in self.console.read_text(errors="replace").splitlines() if line.startswith("has ")]
            return bool(last) and word not in names(last[-1])

        waited(gone, f"the guest to lose {word}", 60)

    def test_it_lives(self):
        self.console = TOP / "guest.log"
        (TOP / "share").mkdir()
        (TOP / "share/hello").write_text("hello-from-the-host\n")
        data = {"id": "data", "file": str(TOP / "a.qcow2"), "interface": "scsi"}
        more = {"id": "more", "file": str(TOP / "b.qcow2"), "interface": "virtio"}
        cdrom = {"id": "cd", "file": "", "format": "raw", "interface": "ide", "media": "cdrom"}
        spec = {
            **tiny_guest.build(TOP, Path(__file__).with_name("init"), MODULES),
            "memory": "512M",
            "balloon": "512M",
            "accel": "tcg",
            "drives": [cdrom, data],
            "networks": [{"type": "user", "restrict": True}],
            "filesystems": [
                {"tag": "share", "path": str(TOP / "share"), "type": "virtiofs"},
                {"tag": "nine", "path": str(TOP / "share"), "type": "9p"},
            ],
            "hotplug_ports": 2,
            "tpm": True,
            "autostart": True,
            "cloud_init": {"user_data": {"hostname": "strata-guest"}},
            "serial": {"path": str(self.console)},
        }
        assert self.foretold(spec)["changed"]
        self.unchanged(spec)
        pid = process(self.case.name)[0]
        self.says("up")
        said = self.console.read_text(errors="replace")
        assert "share hello-from-the-host" in said
        assert "nine hello-from-the-host" in said
        assert '"hostname": "strata-guest"' in said
        assert "tpm tpm0" in said
        self.says("has", "sda", "sr0")

        grown = {**spec, "balloon": "384M", "drives": [{**cdrom, "file": str(TOP / "cd.iso")}, data, more]}
        grown["networks"] = [*spec["networks"], {"type": "user", "restrict": True}]
        done = self.foretold(grown)
        assert done["changed"]
        assert done["restart_required"] == []
        self.unchanged(grown)
        self.now("has", "vdb", "eth1", "medium", "first")

        def told() -> dict:
            return call("qemu_vm_info", {"name": [self.case.name]})["resources"][0]["facts"]

        waited(lambda: told()["balloon"] == 384 << 20, "the guest to give memory back")

        assert self.foretold(spec)["restart_required"] == []
        self.unchanged(spec)
        for word in ("vdb", "eth1", "first"):
            self.lacks(word)
        assert process(self.case.name)[0] == pid

        bigger = {**spec, "memory": "640M", "networks": []}
        assert self.foretold(bigger)["restart_required"] == ["memory", "networks[0]"]
        assert process(self.case.name)[0] == pid
        before = self.console.stat().st_size
        call("qemu_vm", {"name": self.case.name, **bigger, "restart": "if_needed", "timeout": "60"})
        assert process(self.case.name)[0] != pid
        assert after(process(self.case.name)[1], "-m") == ["655360k"]
        self.unchanged(bigger)
        assert before, "it said something before"
        self.says("up")

        run("systemctl", "stop", unit(self.case.name))
        assert "the button" in self.console.read_text(errors="replace"), "systemd did not have it power off"
        self.sees({"runs": False})
        assert subprocess.run(["pgrep", "-f", str(VMS / self.case.name)], check=False).returncode == 1

        (VMS / self.case.name / "started.json").unlink()
        run("systemctl", "start", unit(self.case.name))  # as a boot does
        self.unchanged(bigger)
        assert self.apply({"state": "absent"})["changed"]
        assert not (VMS / self.case.name).exists()
        assert not [path for path in Path("/etc/systemd/system").rglob("strata-qemu-*") if not path.is_dir()]
