# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""nspawn_container, looked at through systemctl, machinectl, busctl and the kernel's own files."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

SETTINGS = Path("/etc/systemd/nspawn")
UNITS = Path("/etc/systemd/system")
IMAGES = Path("/var/lib/machines")
TREES = Path("/srv/strata-nspawn-test")
TINY = TREES / "tiny"
BRIDGE = "strata-br7"
NETNS = "strata-net7"
SLEEP = {"Exec": {"Parameters": "/bin/sleep infinity", "Hostname": "build"}}


def unit(name: str) -> str:
    return f"systemd-nspawn@{name}.service"


def show(name: str, prop: str) -> str:
    return run("systemctl", "show", f"--property={prop}", "--value", unit(name))


LIMITS = ("MemoryMax", "CPUQuotaPerSecUSec", "TasksMax", "NeedDaemonReload", "UnitFileState")


def look(name: str) -> dict | None:
    settings = SETTINGS / f"{name}.nspawn"
    drop_in = UNITS / f"{unit(name)}.d" / "50-strata.conf"
    told = run("systemctl", "show", f"--property=ActiveState,ControlGroup,{','.join(LIMITS)}", unit(name))
    shown = dict(line.split("=", 1) for line in told.splitlines())
    active = shown["ActiveState"] == "active"
    if not (settings.exists() or drop_in.exists() or active):
        return None
    seen = {"running": active, "settings": settings.read_text() if settings.exists() else None}
    image = IMAGES / name
    seen["image"] = str(image.readlink()) if image.is_symlink() else None
    seen |= {prop: shown[prop] for prop in LIMITS}
    group = Path(f"/sys/fs/cgroup{shown['ControlGroup']}")
    for file in ("memory.max", "cpu.max", "pids.max"):
        seen[file] = (group / file).read_text().strip() if active else None
    return seen


def own_tree(name: str) -> dict:
    """nspawn runs one machine at a time from a tree."""
    tree = TREES / name
    if not tree.exists():
        shutil.copytree(TINY, tree, symlinks=True, copy_function=os.link)
    return {"image": str(tree)}


def leader(name: str) -> str:
    return run("machinectl", "show", name, "--property=Leader", "--value")


def swap_settings(old: str, new: str):
    def drift(name: str) -> None:
        file = SETTINGS / f"{name}.nspawn"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return drift


def set_properties(name: str) -> None:
    run("systemctl", "set-property", "--runtime", unit(name), "MemoryMax=64M", "CPUQuota=20%")
    run("systemctl", "set-property", unit(name), "TasksMax=77")


def behind_systemd(name: str) -> None:
    Path(f"/sys/fs/cgroup{show(name, 'ControlGroup')}/memory.max").write_text("99999744")
    drop_in = UNITS / f"{unit(name)}.d" / "50-strata.conf"
    drop_in.write_text(drop_in.read_text().replace("TasksMax=256", "TasksMax=99"))


def edit_settings(name: str) -> None:
    swap_settings("Hostname=build", "Hostname=other")(name)
    swap_settings("Boot=no\n", "")(name)


def stop_and_forget(name: str) -> None:
    run("systemctl", "stop", unit(name))
    (SETTINGS / f"{name}.nspawn").unlink()


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """A tree of busybox, and a bridge."""
    (TINY / "usr/lib").mkdir(parents=True)
    for folder in ("bin", "etc", "dev", "proc", "sys", "tmp", "root", "run", "lib", "sbin", "var"):
        (TINY / folder).mkdir()
    shutil.copy("/usr/bin/busybox", TINY / "bin/busybox")
    for applet in ("sh", "sleep"):
        (TINY / "bin" / applet).symlink_to("busybox")
    (TINY / "usr/lib/os-release").write_text("ID=tiny\n")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    yield
    run("ip", "link", "delete", BRIDGE)
    shutil.rmtree(TREES)


class TestNspawnContainer(Convergence):
    case = Case(
        kind="nspawn_container",
        info="nspawn_info",
        a={
            "boot": False,
            "network_bridge": BRIDGE,
            "memory": "1G",
            "cpus": 1.5,
            "pids_limit": 256,
            "settings": SLEEP,
        },
        b={
            "boot": False,
            "network_bridge": BRIDGE,
            "memory": 300_000_001,
            "cpus": 0.5,
            "settings": SLEEP,
        },
        look=look,
        seen_a={
            "running": True,
            "MemoryMax": "1073741824",
            "CPUQuotaPerSecUSec": "1.500000s",
            "TasksMax": "256",
            "NeedDaemonReload": "no",
            "memory.max": "1073741824",
            "cpu.max": "150000 100000",
            "pids.max": "256",
        },
        seen_b={
            "running": True,
            "MemoryMax": "299999232",
            "CPUQuotaPerSecUSec": "500ms",
            "NeedDaemonReload": "no",
            "memory.max": "299999232",
            "cpu.max": "50000 100000",
        },
        drifts={
            "limits set with systemctl": set_properties,
            "a limit written to the kernel, another to the drop-in": behind_systemd,
            "edited settings": edit_settings,
            "stopped, its settings gone": stop_and_forget,
        },
        touches=(
            "core.files.write",
            "engines.nspawn.link",
            "engines.systemd.reload",
            "engines.systemd.start",
            "engines.systemd.set_runtime",
        ),
        same_process=leader,
        own=own_tree,
    )

    def test_what_needs_a_restart_is_stored_said_and_settled_by_any_restart(self):
        self.apply(self.case.a)
        process = leader(self.case.name)
        wanted = {"settings": {"Exec": {"Hostname": "other"}}, "image": str(TREES / "other")}
        with pytest.raises(Failed, match="no directory tree at"):
            self.apply(wanted, check=True)
        (TREES / "other").symlink_to(TINY)
        told = self.foretold(wanted)
        assert told["restart_required"] == ["hostname", "image"]
        assert leader(self.case.name) == process
        again = self.apply(wanted)
        assert (again["changed"], again["restart_required"]) == (False, told["restart_required"])
        run("systemctl", "restart", unit(self.case.name))
        self.sees({"running": True, "image": str(TREES / "other")})
        assert self.apply(wanted)["restart_required"] == []

    def test_a_restart_that_is_allowed_and_what_others_wrote(self):
        SETTINGS.mkdir(exist_ok=True)
        theirs = (
            "# theirs\n[Exec]\nParameters=/bin/sleep infinity\nBoot=no\n"
            "Environment=A=1\nEnvironment=B=2\n\n[X-Theirs]\nKey=1\n"
        )
        (SETTINGS / f"{self.case.name}.nspawn").write_text(theirs)
        drop_in = UNITS / f"{unit(self.case.name)}.d" / "70-theirs.conf"
        drop_in.parent.mkdir(exist_ok=True)
        drop_in.write_text("[Service]\nTasksMax=99\n")
        try:
            wanted = {"image": str(TINY), "memory": "64M", "restart": "if_needed"}
            self.apply(wanted)
            process = leader(self.case.name)
            changed = {**wanted, "memory": "96M", "settings": {"Exec": {"Hostname": "other"}}}
            run("systemctl", "set-property", "--runtime", unit(self.case.name), "MemoryMax=80M")
            assert self.foretold(changed)["restart_required"] == []
            assert leader(self.case.name) != process
            self.sees(
                {
                    "memory.max": str(96 << 20),
                    "pids.max": "99",
                    "settings": theirs.replace("B=2\n", "B=2\nHostname=other\n"),
                }
            )
            self.unchanged(changed)
            with pytest.raises(Failed, match=r"pids_limit: is set by /etc/.*/70-theirs.conf"):
                self.apply({"pids_limit": 77}, check=True)
            (told,) = call("nspawn_info", {"name": [self.case.name]})["resources"]
            assert told["options"]["env"] == ["A=1", "B=2"]
            assert told["owner"] is None
            self.apply({"state": "absent"})
            assert drop_in.exists()
            assert TINY.is_dir()
        finally:
            drop_in.unlink(missing_ok=True)

    def test_typed_options_hold_inside(self):
        """Looked at from the host, through /proc of the machine's own program."""
        data = TREES / "data"
        data.mkdir(exist_ok=True)
        (data / "told").write_text("by the host\n")
        spec = {
            "image": str(TINY),
            "boot": False,
            "command": ["/bin/sh", "-c", 'echo "a  b" >/scratch/said; exec /bin/sleep 99999'],
            "env": ["GREETING=hello world", "B=2"],
            "hostname": "typed",
            "cap_drop": ["SYS_ADMIN", "NET_RAW"],
            "capabilities": ["NET_ADMIN"],
            "no_new_privileges": True,
            "read_only": True,
            "binds": [{"source": str(data), "path": "/srv/data", "read_only": True}, {"source": "/dev/zero"}],
            "tmpfs": ["/scratch:size=1m", "/var/tmp"],
            "network_veth": True,
            "network_veth_extra": ["strata-x7:extra0"],
            # What nspawn would mount over has to be there where the root is read-only.
            "timezone": "off",
            "resolv_conf": "off",
            "settings": {"Service": {"Restart": "on-failure"}},
        }
        for folder in ("srv/data", "scratch", "var/tmp"):
            (TINY / folder).mkdir(parents=True, exist_ok=True)
        self.foretold(spec)
        self.unchanged(spec)
        first = leader(self.case.name)
        run("nsenter", f"--target={first}", "--net", "ip", "address", "add", "10.99.7.2/24", "dev", "host0")
        (told,) = call("nspawn_info", {"name": [self.case.name]})["resources"]
        assert told["usage"]["leader"] == int(first)
        assert told["usage"]["pids"]["current"] >= 1
        assert told["usage"]["addresses"] == ["10.99.7.2"]
        proc = Path(f"/proc/{first}")
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
        bounding = int(status["CapBnd"], 16)
        assert [bounding >> number & 1 for number in (21, 13, 12)] == [0, 0, 1]  # SYS_ADMIN, NET_RAW, NET_ADMIN
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert (proc / "uid_map").read_text().split()[1] != "0"
        assert "GREETING=hello world" in (proc / "environ").read_text().split("\0")
        assert run("nsenter", f"--target={first}", "--uts", "hostname") == "typed"
        lines = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
        mounts = {words[4]: set(words[5].split(",")) for words in lines}
        assert "ro" in mounts["/"]
        assert "ro" in mounts["/srv/data"]
        assert "rw" in mounts["/scratch"]
        assert "/var/tmp" in mounts
        inside = proc / "root"
        assert (inside / "scratch/said").read_text() == "a  b\n"
        assert (inside / "srv/data/told").read_text() == "by the host\n"
        assert "extra0" in (proc / "net/dev").read_text()
        assert Path("/sys/class/net/strata-x7").exists()
        assert "/dev/zero rwm" in show(self.case.name, "DeviceAllow")
        assert show(self.case.name, "Restart") == "on-failure"

        live = {**spec, "settings": {**spec["settings"], "Service": {"Restart": "no"}}, "memory": "96M"}
        assert self.foretold(live)["restart_required"] == []
        assert (show(self.case.name, "Restart"), leader(self.case.name)) == ("no", first)
        again = self.apply({**live, "binds": [], "state": "restarted"})
        assert again["changed"]
        assert leader(self.case.name) != first
        assert "/srv/data" not in Path(f"/proc/{leader(self.case.name)}/mountinfo").read_text()
        assert "/dev/zero" not in show(self.case.name, "DeviceAllow")

    def test_the_network_namespace_of_somebody_else(self):
        spec = {"image": str(TINY), "boot": False, "settings": SLEEP}
        run("ip", "netns", "add", NETNS)
        try:
            self.foretold({**spec, "network_namespace": NETNS})
            self.unchanged({**spec, "network_namespace": NETNS})
            its = Path(f"/proc/{leader(self.case.name)}/ns/net")
            assert its.samefile(Path("/run/netns", NETNS))
            assert Path(f"/run/systemd/nspawn/unix-export/{self.case.name}").is_mount()
            self.foretold({**spec, "network_namespace": "", "restart": "if_needed"})
            assert "host0" in run("nsenter", f"--target={leader(self.case.name)}", "--net", "ip", "-brief", "link")
        finally:
            run("ip", "netns", "delete", NETNS)

    def test_other_networks_forwarded_ports_and_overlays_hold_inside(self):
        dummies = ("strata-d7", "strata-d8", "strata-d9")
        lower, upper = TREES / "lower", TREES / "upper"
        for folder in (lower, upper, TINY / "srv/merged", TINY / "srv/read"):
            folder.mkdir(parents=True, exist_ok=True)
        (lower / "below").write_text("below\n")
        upper.chmod(0o777)  # root of the machine is another user to the host
        spec = {
            "image": str(TINY),
            "boot": False,
            "command": ["/bin/sh", "-c", "echo up >/srv/merged/said; exec busybox httpd -f -p 80 -h /srv/merged"],
            "network_zone": "strata7",
            "network_macvlan": ["strata-d7:mv7"],
            "network_ipvlan": ["strata-d8:iv8"],
            "network_interfaces": ["strata-d9:moved9"],
            "ports": ["tcp:8077:80"],
            "overlays": [
                {"path": "/srv/merged", "lower": [str(lower)], "upper": str(upper)},
                {"path": "/srv/read", "lower": [str(lower), str(upper)]},
            ],
        }
        for dummy in dummies:
            run("ip", "link", "add", dummy, "type", "dummy")
        try:
            self.foretold(spec)
            self.unchanged(spec)
            first = leader(self.case.name)
            within = ["nsenter", f"--target={first}", "--net", "ip"]
            for link, kind in (("mv7", "macvlan"), ("iv8", "ipvlan"), ("moved9", "dummy"), ("host0", "veth")):
                assert f" {kind} " in run(*within, "-details", "link", "show", link), link
            assert not Path("/sys/class/net/strata-d9").exists(), "it was not moved"
            zone = Path("/sys/class/net/vz-strata7")
            assert len(list((zone / "brif").iterdir())) == 1
            inside = Path(f"/proc/{first}/root/srv")
            assert ((inside / "merged/below").read_text(), (upper / "said").read_text()) == ("below\n", "up\n")
            assert sorted(file.name for file in (inside / "read").iterdir()) == ["below", "said"]
            assert not (lower / "said").exists()

            # nspawn forwards a port to the address that the machine has, once it has one.
            run("ip", "address", "add", "10.99.8.1/24", "dev", zone.name)
            for words in (["address", "add", "10.99.8.2/24", "dev", "host0"], ["link", "set", "host0", "up"]):
                run(*within, *words)
            run("ip", "link", "set", zone.name, "up")
            page = ""
            for _second in range(30):
                page = run("busybox", "wget", "-qO-", "http://10.99.8.1:8077/said", check=False)
                if page:
                    break
                time.sleep(1)
            assert page == "up"
        finally:
            self.apply({"state": "absent"})
            for dummy in dummies:
                run("ip", "link", "delete", dummy, check=False)
            run("ip", "link", "delete", "vz-strata7", check=False)

    def test_restricted_as_it_is_seen_from_inside(self):
        """Through /proc of the machine's own program; then what lifts it by hand, and a killed systemd-nspawn."""
        name = self.case.name
        spec = {
            "image": str(TINY),
            "boot": False,
            "command": ["/bin/sh", "-c", "echo x >/x; echo x >/tmp/x; echo x >/run/x; exec /bin/sleep 99999"],
            "hardening": "restricted",
            "memory": "64M",
            "timezone": "off",
            "restart": "if_needed",
        }
        self.foretold(spec)
        self.unchanged(spec)

        def holds() -> None:
            first = leader(name)
            proc = Path(f"/proc/{first}")
            status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
            assert [status[key] for key in ("CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb")] == ["0" * 16] * 5
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
            assert int(status["Uid"].split()[0]) >= 65536
            assert (proc / "uid_map").read_text().split()[1] != "0"
            assert os.readlink(proc / "ns/net") != os.readlink("/proc/self/ns/net")
            mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
            flags = {words[4]: set(words[5].split(",")) for words in mounts}
            assert "ro" in flags["/"]
            assert {"rw", "nosuid", "nodev", "noexec"} <= flags["/tmp"]
            assert {"nosuid", "nodev"} <= flags["/run"]
            assert "ro" in flags["/proc/sys"]
            inside = proc / "root"
            assert [(inside / path).exists() for path in ("x", "tmp/x", "run/x")] == [False, True, True]
            self.sees({"memory.max": str(64 << 20), "cpu.max": "100000 100000", "pids.max": "256"})

        holds()
        swap_settings("NoNewPrivileges=yes", "NoNewPrivileges=no")(name)
        swap_settings("DropCapability=all", "DropCapability=CAP_KILL")(name)
        drop_in = UNITS / f"{unit(name)}.d" / "50-strata.conf"
        drop_in.write_text(drop_in.read_text() + "\n[Service]\nEnvironment=SYSTEMD_SECCOMP=0\n")
        run("systemctl", "restart", unit(name))
        told = self.foretold(spec)
        assert {"no_new_privileges", "cap_drop", "settings[Service.Environment]"} <= {
            change["field"] for change in told["changes"]
        }
        holds()
        for lifts, words in (
            ({"private_users": "no"}, "root of the host"),
            ({"binds": [{"source": "/run/dbus/system_bus_socket"}]}, "anything can be started on the host"),
        ):
            with pytest.raises(Failed, match=words):
                self.apply({**spec, **lifts}, check=True)
        theirs = drop_in.with_name("70-theirs.conf")
        theirs.write_text("[Service]\nEnvironment=SYSTEMD_SECCOMP=0\n")
        run("systemctl", "daemon-reload")
        with pytest.raises(Failed, match=r"confines less .*70-theirs\.conf"):
            self.apply(spec, check=True)
        theirs.unlink()

        stale = Path(f"/run/systemd/nspawn/unix-export/{name}")
        run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit(name))
        end = time.monotonic() + 20
        while show(name, "ActiveState") not in ("failed", "inactive"):
            assert time.monotonic() < end
            time.sleep(0.2)
        assert stale.is_mount()
        assert self.foretold(spec)["changed"]
        holds()

    def test_machines_of_a_read_only_image(self):
        """Two that share a tree, and one with a clone of a disk: in one stack, with the images."""
        name = self.case.name
        disk = TREES / "tiny.raw"
        with disk.open("wb") as file:
            file.truncate(16 * 1024**2)
        run("mke2fs", "-q", "-F", "-t", "ext4", "-d", str(TINY), str(disk))
        command = {"boot": False, "command": ["/bin/sleep", "99999"], "timezone": "off"}
        shares = {**command, "read_only": True}
        machines = {
            f"{name}-a": {**shares, "image": f"{name}-golden"},
            f"{name}-b": {**shares, "image": f"{name}-golden"},
            f"{name}-own": {**command, "image": f"{name}-disk"},
        }
        entries = [
            {"nspawn_image": {"name": f"{name}-golden", "source": {"rootfs": str(TINY)}, "read_only": True}},
            {"nspawn_image": {"name": f"{name}-disk", "source": {"raw": str(disk)}, "read_only": True}},
            *({"nspawn_container": {"name": machine, **spec}} for machine, spec in machines.items()),
        ]
        stack = {"name": self.owner, "prune": True, "resources": entries}
        try:
            forecast = call("stack", stack, check=True)
            assert call("stack", stack)["diff"] == forecast["diff"]
            assert call("stack", stack)["changed"] is False
            leaders = {machine: Path(f"/proc/{leader(machine)}") for machine in machines}
            writable = {}
            for machine, proc in leaders.items():
                mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
                writable[machine] = "rw" in [words[5] for words in mounts if words[4] == "/"][-1].split(",")
            assert writable == {machine: machine.endswith("-own") for machine in machines}
            assert (IMAGES / f"{name}-a").readlink() == (IMAGES / f"{name}-b").readlink() == IMAGES / f"{name}-golden"
            own = IMAGES / f"{name}-own.raw"
            assert not own.is_symlink()
            assert "/dev/loop" in run("losetup", "--associated", str(own))
            with pytest.raises(Failed, match="in use by"):
                call("nspawn_image", {"name": f"{name}-golden", "state": "absent"})
        finally:
            call("stack", {**stack, "resources": []})
        assert [entry for entry in os.listdir(IMAGES) if name in entry] == []
        assert name not in run("machinectl", "list", "--no-legend")

    def test_a_machine_that_never_gets_ready_says_its_last_words(self):
        tree = TREES / "stuck"
        shutil.copytree(TINY, tree, symlinks=True)
        (tree / "usr/lib/systemd").mkdir()
        init = tree / "usr/lib/systemd/systemd"
        init.write_text("#!/bin/sh\necho stuck for good\nexec /bin/sleep 99999\n")
        init.chmod(0o755)
        spec = {"image": str(tree), "boot": True, "timeout": "12"}
        with pytest.raises(Failed, match=r"waited [\d.]+ seconds for the guest .*last words: .*stuck for good"):
            self.apply(spec)
        run("kill", "-KILL", leader(self.case.name))  # it would never heed the signal to shut down

    def test_a_machine_that_cannot_start_says_why(self):
        spec = {
            "image": str(TINY),
            "boot": False,
            "private_users": "no",
            "settings": {"Exec": {"Parameters": "/bin/nothing"}},
        }
        with pytest.raises(Failed, match=r"did not start: .*last words: .*/bin/nothing"):
            self.apply(spec)
        self.apply({**spec, "settings": SLEEP})
        self.sees({"running": True})

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"image": "/srv/nowhere"}, "no directory tree at /srv/nowhere"),
            ({"image": "relative/path"}, "image: must be an absolute path"),
            ({"settings": {"Exec": {"Boot": True}}}, "boot: is given here and in settings"),
            ({"binds": [{"source": "srv"}]}, "binds.source: must be an absolute path"),
            ({"ports": ["http"]}, "ports: is no port"),
            ({"settings": {"Exec": "Boot"}}, "settings: are sections"),
            ({"network_bridge": "br/0"}, "network_bridge: is no name"),
            ({"network_bridge": "br0", "network_veth": False}, "network_veth: can't be off"),
            ({"private_users": "some"}, "private_users: must be pick"),
            ({"name": "a_b"}, "name: is no valid name of a machine"),
        ],
    )
    def test_bad_input_touches_nothing(self, wrong, words):
        for check in (True, False):
            with pytest.raises(Failed) as failed:
                self.apply({**self.case.a, **wrong}, check=check)
            assert words in failed.value.result["msg"]
        assert look(self.case.name) is None

    def test_a_tree_under_the_machines_name_is_not_replaced(self):
        own = IMAGES / self.case.name
        own.mkdir()
        try:
            with pytest.raises(Failed, match="is something else and is not replaced"):
                self.apply({**self.case.a, "state": "present"})
        finally:
            own.rmdir()

    def test_enabled_and_stopped(self):
        spec = {**self.case.a, "state": "stopped", "enabled": True}
        self.foretold(spec)
        self.sees({"running": False, "UnitFileState": "enabled"})
        self.unchanged(spec)
        self.apply({"state": "stopped", "enabled": False})
        self.sees({"UnitFileState": "disabled"})

    def test_an_unchanged_run_runs_one_program(self, monkeypatch):
        from ansible_collections.strata.virt.plugins.module_utils.core import command
        from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
        from ansible_collections.strata.virt.plugins.module_utils.kinds.nspawn_container import NspawnContainer

        programs = []
        plain = command.run
        monkeypatch.setattr(command, "run", lambda argv, **more: programs.append(argv) or plain(argv, **more))
        found = NspawnContainer.read_many(None, ["one", "two", "three"])
        assert (set(found), len(programs)) == ({"one", "two", "three"}, 1)
        assert not read_one(NspawnContainer({"name": "one", "state": "absent"}), None).exists


class TestDebian:
    """A whole Debian, on a bridge, from an image of it."""

    @pytest.fixture
    def deb(self):
        link, data = IMAGES / "deb", Path("/srv/data")
        made = [path for path in (link, data) if not path.exists()]
        if link in made:
            link.symlink_to(IMAGES / "trixie")  # somebody's own link is as good as a tree
        if data in made:
            data.mkdir()
        bridge = not Path("/sys/class/net/br0").exists()
        if bridge:
            run("ip", "link", "add", "br0", "type", "bridge")
        for machine in ("deb", "build"):  # of the demonstration, and of the documentation's examples
            call("nspawn_container", {"name": machine, "state": "absent"})
        call("nspawn_image", {"name": "golden", "state": "absent"})
        gone = {"name": "test-debian", "prune": True, "resources": []}
        yield gone["name"]
        call("stack", gone)
        assert link.exists(), "the tree was removed"
        for path in made:
            path.unlink() if path.is_symlink() else path.rmdir()
        if bridge:
            run("ip", "link", "delete", "br0")

    def test_a_clone_of_a_golden_debian_boots_and_powers_off(self, deb):
        golden = {"name": "golden", "source": {"rootfs": "/var/lib/machines/deb"}, "read_only": True}
        build = {
            "name": "build",
            "image": "golden",
            "ephemeral": False,
            "state": "started",
            "enabled": True,
            "network_bridge": "br0",
            "ports": ["tcp:8080:80"],
            "binds": [{"source": "/srv/data", "path": "/data", "read_only": True}],
            "memory": "1G",
            "cpus": 1,
            "pids_limit": 512,
            "hardening": "baseline",
            "settings": {"Exec": {"Hostname": "build"}},
        }

        def stack() -> dict:
            entries = [{"nspawn_image": golden}, {"nspawn_container": build}]
            return call("stack", {"name": deb, "resources": entries})

        stack()
        assert run("systemctl", "--machine=build", "is-system-running", check=False) in ("running", "degraded")
        seen = look("build")
        assert (seen["memory.max"], seen["cpu.max"], seen["pids.max"]) == (str(1 << 30), "100000 100000", "512")
        assert seen["UnitFileState"] == "enabled"
        assert Path("/sys/class/net/vb-build/master").resolve().name == "br0"
        process = leader("build")
        assert Path(f"/proc/{process}/uid_map").read_text().split()[1] != "0"
        assert " /data ro" in Path(f"/proc/{process}/mountinfo").read_text()
        assert "Hostname=build\n" in seen["settings"]  # until the guest's systemd has read its own /etc/hostname
        assert stack()["changed"] is False
        call("nspawn_container", {"name": "build", "state": "stopped"})
        assert show("build", "Result") == "success"
        assert look("build")["running"] is False
