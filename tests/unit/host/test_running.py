# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs, on a host as it was recorded: found, named, told apart from what runs within it, and how it is isolated.

Three containers of Docker and a jail are a recording; processes of other engines stand beside them as those start them.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.acts import workload_info
from ansible_collections.strata.virt.plugins.module_utils.engines import cgroupfs
from ansible_collections.strata.virt.plugins.module_utils.engines.hostfiles import Answer, Host
from ansible_collections.strata.virt.plugins.module_utils.host import running

RECORDED = Path(__file__).resolve().parents[1] / "fixtures/workload_info/host.json"
PLAIN, OPEN, HARD, JAIL = 12808, 12907, 12858, 13001
ID = "e042dbf497b85bfdfdf4552d21e7fcb979beb470e75a177257791bfd5d72f093"
USER = "/user.slice/user-1000.slice/user@1000.service"


class Recorded(Host):
    """A host of texts and links; control groups are real folders."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        kept = json.loads(RECORDED.read_text())
        self.texts, self.links, self.nodes = kept["texts"], kept["links"], kept["nodes"]
        self.rows: tuple = ()
        self.asked: list[str] = []
        self.database = b""

    def text(self, path):
        return self.texts.get(path)

    def text_within(self, tree, path):
        return self.texts.get(f"{tree}/{path}")

    def bytes_within(self, tree, path, most):
        return self.database

    def target(self, path):
        return self.links.get(path)

    def names(self, folder):
        below = [path[len(folder) + 1 :] for path in (*self.texts, *self.links) if path.startswith(f"{folder}/")]
        found = {path.partition("/")[0] for path in below}
        return sorted(found, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))

    def status(self, path):
        return SimpleNamespace(st_uid=1000, st_dev=1, st_ino=1)

    def nodes_within(self, tree, path):
        found = self.nodes.get(f"{tree}|{path}", {})
        return {name: SimpleNamespace(st_mode=mode, st_rdev=number) for name, (mode, number) in found.items()}

    def get(self, path, url):
        self.asked.append(f"{path} {url}")
        return Answer({}, rows=self.rows)

    def process(self, pid: int, parent: int, command: str, group: str, *words: str) -> None:
        """One more process, with namespaces of its own."""
        self.texts[f"/proc/{pid}/stat"] = f"{pid} ({command}) S {parent} " + "0 " * 17 + str(pid)
        self.texts[f"/proc/{pid}/cgroup"] = f"0::{group}\n"
        self.texts[f"/proc/{pid}/comm"] = f"{command}\n"
        self.texts[f"/proc/{pid}/cmdline"] = "".join(f"{word}\0" for word in words)
        self.texts[f"/proc/{pid}/status"] = self.texts[f"/proc/{HARD}/status"]
        for kind in ("uid_map", "gid_map"):
            self.texts[f"/proc/{pid}/{kind}"] = self.texts[f"/proc/{HARD}/{kind}"]
        self.links[f"/proc/{pid}/ns/mnt"] = f"mnt:[{pid}]"
        self.links[f"/proc/{pid}/root"] = "/"

    def group(self, path: str, **files: str) -> None:
        folder = Path(f"{self.root}{cgroupfs.MOUNT}{path}")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(cgroupfs, "is_cgroup2", os.path.isdir)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    return Recorded(tmp_path)


def told(host: Host, **options) -> dict:
    found = workload_info.look(host, options.pop("engines", running.ENGINES), **options)
    return {(one["engine"], one["name"]): one for one in found}


def by_pid(host: Host) -> dict:
    return {one["pid"]: one for one in told(host).values()}


# The recording


def test_containers_and_a_jail_are_found_by_the_kernel_alone(host):
    found = by_pid(host)
    assert {pid: one["engine"] for pid, one in found.items()} == {
        PLAIN: "docker",
        OPEN: "docker",
        HARD: "docker",
        JAIL: "chroot",
    }
    assert host.asked == [], "a daemon that isn't there was asked"
    assert found[PLAIN]["name"] == found[PLAIN]["id"][:12]
    assert (found[JAIL]["name"], found[JAIL]["processes"], found[JAIL]["owner"]) == ("/srv/jail", 1, None)


def test_the_daemon_is_asked_once_where_it_runs(host):
    host.process(900, 1, "dockerd", "/system.slice/docker.service")
    host.texts["/run/docker.pid"] = "900"
    number = by_pid(host)[HARD]["id"]
    host.asked.clear()
    host.rows = ({"Id": number, "Names": ["/other/web", "/web"], "Labels": {"strata.owner": "demo", "tier": "front"}},)
    one = told(host)["docker", "web"]
    assert (one["pid"], one["owner"], one["labels"]["tier"]) == (HARD, "demo", "front")
    assert host.asked == ["/run/docker.sock /containers/json"]


def test_a_container_that_outlives_its_daemon_has_a_name(host):
    number = by_pid(host)[HARD]["id"]
    kept = {"Name": "/web", "Config": {"Labels": {"strata.owner": "demo"}}}
    host.texts[f"/var/lib/docker/containers/{number}/config.v2.json"] = json.dumps(kept)
    assert told(host)["docker", "web"]["owner"] == "demo"


def test_rights_and_confinement(host):
    found = by_pid(host)
    assert found[HARD]["capabilities"] == {
        **{key: [] for key in ("bounding", "permitted", "effective", "inheritable", "ambient")},
        "all": False,
    }
    assert len(found[PLAIN]["capabilities"]["bounding"]) == 14
    assert (found[HARD]["user"]["uid"], found[PLAIN]["user"]["uid_inside"]) == (65534, 0)
    assert [found[pid]["confinement"]["no_new_privileges"] for pid in (HARD, PLAIN)] == [True, False]
    assert found[HARD]["confinement"]["seccomp"]["mode"] == "filter"
    assert found[JAIL]["confinement"]["seccomp"]["mode"] == "off"
    assert found[HARD]["confinement"]["lsm"] == dict.fromkeys(("module", "label", "profile", "mode"))


def test_namespaces_are_those_of_the_host_or_not(host):
    found = by_pid(host)
    shared = {pid: {kind for kind, one in found[pid]["namespaces"].items() if one["host"]} for pid in found}
    assert not {"pid", "net", "ipc", "mnt", "uts"} & shared[HARD]
    assert {"pid", "net", "ipc"} <= shared[OPEN]
    assert "mnt" not in shared[OPEN]
    assert {"pid", "net", "ipc", "mnt", "uts", "user"} <= shared[JAIL]


def test_mounts_that_lead_to_the_host(host):
    found = by_pid(host)
    (row,) = found[OPEN]["mounts"]["sensitive"]
    assert (row["path"], row["source"], row["read_only"]) == ("/host", "/", False)
    for pid in (HARD, PLAIN, JAIL):
        assert found[pid]["mounts"]["sensitive"] == []
    assert [found[pid]["mounts"]["root"]["read_only"] for pid in (HARD, PLAIN)] == [True, False]
    kernel = found[PLAIN]["mounts"]["kernel"]
    assert (kernel["proc_sys_read_only"], kernel["sys_read_only"], kernel["writable"]) == (True, True, [])
    assert "/proc/keys" in kernel["masked"]


def test_devices_are_those_of_hardware(host):
    assert by_pid(host)[PLAIN]["devices"] == []
    host.nodes[f"/proc/{PLAIN}/root/.|/dev"]["sda"] = [stat.S_IFBLK | 0o600, os.makedev(8, 0)]
    assert by_pid(host)[PLAIN]["devices"] == [{"path": "/dev/sda", "type": "block", "number": "8:0"}]


def test_labels(host):
    host.texts["/sys/kernel/security/lsm"] = "lockdown,capability,apparmor"
    for label, held in (
        ("docker-default (enforce)\n", {"profile": "docker-default", "mode": "enforce"}),
        ("unconfined\n", {"profile": "unconfined", "mode": "unconfined"}),
    ):
        host.texts[f"/proc/{HARD}/attr/current"] = label
        assert by_pid(host)[HARD]["confinement"]["lsm"] == {"module": "apparmor", "label": label.strip(), **held}
    host.texts["/sys/fs/selinux/enforce"] = "1"
    host.texts[f"/proc/{HARD}/attr/current"] = "system_u:system_r:svirt_t:s0:c1,c2\0"
    lsm = by_pid(host)[HARD]["confinement"]["lsm"]
    assert (lsm["module"], lsm["profile"], lsm["mode"]) == ("selinux", "svirt_t", "enforce")


# Other engines


def test_podman_of_a_user(host, tmp_path):
    store = "/home/u/.local/share/containers/storage"
    words = ("-c", ID, "-b", f"{store}/overlay-containers/{ID}/userdata", "-n", "web")
    host.process(500, 1, "conmon", f"{USER}/user.slice/libpod-conmon-{ID}.scope", "/usr/bin/conmon", *words)
    host.process(501, 500, "sleep", f"{USER}/user.slice/libpod-{ID}.scope/container", "sleep")
    host.process(502, 501, "sleep", f"{USER}/user.slice/libpod-{ID}.scope/container", "sleep")
    one = told(host)["podman", "web"]
    assert (one["pid"], one["processes"], one["owner"]) == (501, 2, None)
    assert one["cgroup"] == f"{USER}/user.slice/libpod-{ID}.scope"
    file = tmp_path / "db.sql"
    base = sqlite3.connect(file)
    base.execute("CREATE TABLE ContainerConfig (ID TEXT, Name TEXT, JSON TEXT)")
    kept = {"name": "renamed", "labels": {"strata.owner": "demo"}}
    base.execute("INSERT INTO ContainerConfig VALUES (?, ?, ?)", (ID, "renamed", json.dumps(kept)))
    base.commit()
    base.close()
    host.database = file.read_bytes()
    assert told(host)["podman", "renamed"]["owner"] == "demo"
    host.database = file.read_bytes()[:5000]  # it is just being written
    assert told(host)["podman", "web"]["owner"] is None


def test_lxc_by_its_monitor(host):
    host.process(510, 1, "lxc-start", "/lxc.monitor.web", "[lxc monitor] /srv/lxc web")
    host.process(511, 510, "init", "/lxc.payload.web/init.scope", "/sbin/init")
    host.texts["/srv/lxc/web/config"] = "# strata.virt: owner=demo\nlxc.uts.name = web\n"
    one = told(host)["lxc", "web"]
    assert (one["pid"], one["owner"], one["cgroup"]) == (511, "demo", "/lxc.payload.web")


def test_nspawn_by_its_supervisor_and_what_runs_in_it_is_its_own(host):
    unit = "/machine.slice/systemd-nspawn@build.service"
    host.process(520, 1, "systemd-nspawn", f"{unit}/supervisor", "systemd-nspawn", "--boot", "--machine=build")
    host.process(521, 520, "systemd", f"{unit}/payload/init.scope", "/sbin/init")
    host.process(522, 521, "busybox", f"{unit}/payload/system.slice/docker-{ID}.scope", "sleep")
    host.texts["/etc/systemd/system/systemd-nspawn@build.service.d/50-strata.conf"] = "[X-Strata]\nOwner=demo\n"
    found = told(host)
    one = found["nspawn", "build"]
    assert (one["pid"], one["processes"], one["owner"], one["cgroup"]) == (521, 2, "demo", unit)
    assert one["cgroup_shared"] is False
    assert 522 not in {other["pid"] for other in found.values()}


def test_virtual_machines_with_libvirt_and_without(host):
    scope = "/machine.slice/machine-qemu\\x2d1\\x2dvm1.scope"
    words = ("-name", "guest=vm1,debug-threads=on", "-chardev", "socket,id=charmonitor,fd=21,server=on")
    host.process(530, 1, "qemu-system-x86", f"{scope}/libvirt/emulator", "/usr/bin/qemu-system-x86_64", *words)
    host.texts["/run/libvirt/qemu/vm1.xml"] = (
        "<domstatus state='running' pid='530'><domain><metadata>"
        "<s:strata xmlns:s='https://strata.virt/ns/1' owner='demo'/></metadata></domain></domstatus>"
    )
    folder = "/var/lib/strata/qemu/box"
    own = ("-name", "box", "-daemonize", "-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off")
    host.process(531, 1, "qemu-system-x86", "/system.slice/strata-qemu-box.service", "qemu-system-x86_64", *own)
    host.texts[f"{folder}/vm.json"] = json.dumps({"owner": "demo", "options": {}})
    found = told(host)
    assert (found["libvirt", "vm1"]["pid"], found["libvirt", "vm1"]["cgroup"]) == (530, scope)
    assert (found["qemu", "box"]["pid"], found["qemu", "box"]["owner"]) == (531, "demo")


def test_groups_and_units_that_are_held_to_something(host):
    for unit in ("a.service", "b.service", "c.service"):
        host.group(f"/system.slice/{unit}", memory_max="max\n", pids_max="4915\n", cpu_max="max 100000\n")
    host.group("/system.slice/c.service", memory_max="1073741824\n")
    host.group("/system.slice/b.service", pids_max="64\n")
    host.group("/user.slice/user-1000.slice", pids_max="10813\n")
    host.group("/strata.slice/strata.service/batch", cpu_max="50000 100000\n", io_max="8:0 rbps=max wbps=max\n")
    found = told(host, engines=["unit", "cgroup"], facts=["limits"])
    assert set(found) == {("unit", "b.service"), ("unit", "c.service"), ("cgroup", "batch")}
    assert found["unit", "c.service"]["limits"]["memory"] == "1G"
    assert found["cgroup", "batch"]["limits"]["cpus"] == 0.5


def test_limits_of_groups_above_count(host):
    number = by_pid(host)[HARD]["id"]
    host.group("/docker", memory_max="536870912\n", pids_max="max\n")
    host.group(f"/docker/{number}", memory_max="1073741824\n", pids_max="32\n", cpu_max="max 100000\n")
    limits = by_pid(host)[HARD]["limits"]
    assert (limits["memory"], limits["held_to"]) == ("1G", {"memory": "512M", "cpus": "max", "pids_limit": 32})


def test_what_is_asked_for_alone(host):
    found = told(host, engines=["docker", "chroot"], names=["/srv/*"], facts=["user"])
    assert list(found) == [("chroot", "/srv/jail")]
    assert "capabilities" not in found["chroot", "/srv/jail"]
    assert workload_info.missing(["/srv/*", "web"], found.values()) == ["web"]
    assert told(host, owner="nobody") == {}


def test_what_may_not_be_read_is_none(host):
    for path in [
        path for path in host.texts if path.startswith(f"/proc/{HARD}/") and not path.endswith(("stat", "cgroup"))
    ]:
        del host.texts[path]
    for path in [path for path in host.links if path.startswith(f"/proc/{HARD}/")]:
        del host.links[path]
    one = by_pid(host)[HARD]
    subjects = ("user", "namespaces", "capabilities", "confinement", "mounts", "devices")
    assert [one[subject] for subject in subjects] == [None] * 6
