# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""troubleshoot finds faults that are made here by the host's own tools, and no more once they are undone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.driver import MODULES, Failed, call, run

IMAGE = "strata-trouble:1"
USER = "games"  # everybody has it: base-passwd

# The module in another network namespace, which a fork of this process would not be in.
FRESH = f"""
import importlib, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = sys.stdin.buffer.read(), "legacy"
importlib.import_module("{MODULES}.troubleshoot").main()
"""


def within(netns: str) -> dict:
    arguments = {"topic": "network", "_ansible_check_mode": True, "_ansible_remote_tmp": "/tmp"}
    text = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
    return json.loads(run("ip", "netns", "exec", netns, sys.executable, "-c", FRESH, stdin=text))


def told(**options) -> dict:
    return call("troubleshoot", options, check=True)


def found(result: dict) -> dict[str, list[str]]:
    """What is wrong, in the words of each check; not of networks that nobody wants to run."""
    whats: dict[str, list[str]] = {}
    for finding in result["findings"]:
        if finding["check"] != "all networks of libvirt are active":
            whats.setdefault(finding["check"], []).append(finding["what"])
    return whats


def until(look, what: str) -> None:
    end = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@contextlib.contextmanager
def namespace(name: str, script: str) -> Iterator[None]:
    """A network namespace with what ``ip --batch`` makes in it, and a resolv.conf of its own (ip-netns(8))."""
    folder = Path("/etc/netns") / name
    folder.mkdir(parents=True)
    (folder / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    run("ip", "netns", "add", name)
    try:
        run("ip", "-netns", name, "-batch", "-", stdin=script)
        yield
    finally:
        run("ip", "netns", "del", name)
        shutil.rmtree(folder)


@contextlib.contextmanager
def process(*argv: str) -> Iterator[int]:
    """A process that waits, once it is what it is to be."""
    started = subprocess.Popen([*argv, "sh", "-c", "echo; exec sleep 999"], stdout=subprocess.PIPE)
    try:
        started.stdout.readline()
        yield started.pid
    finally:
        started.kill()
        started.wait()


def set_sysctl(netns: str, *settings: str) -> None:
    run("ip", "netns", "exec", netns, "sysctl", "-qw", *settings)


# A host of which nearly everything is wrong.
LAME = """
link set lo up
link add br0 type bridge
link add br1 type bridge
link add br2 type bridge
link add br3 type bridge
link add p0 type veth peer name q0
link add p3 type veth peer name q3
link add s1 type veth peer name s2
link set p0 mtu 1400
link set p0 master br0
link set br0 mtu 1500
link set p3 master br3
link set p0 up
link set q0 up
link set br0 up
link set br3 up
address add 192.0.2.1/24 dev br0
address add 198.51.100.1/24 dev br1
address add 203.0.113.5/24 dev s1
address add 203.0.113.5/25 dev s2
"""

SOUND = """
link set p0 mtu 1500
link set p3 up
link set q3 up
link set br1 up
link del br2
address del 203.0.113.5/25 dev s2
link set s1 up
link set s2 up
route add default via 203.0.113.1 dev s1
"""


def test_a_network_of_faults_and_the_same_one_without():
    with namespace("strata-lame", LAME):
        (Path("/etc/netns/strata-lame/resolv.conf")).write_text("nameserver 127.0.0.53\n")
        set_sysctl("strata-lame", "net.ipv4.ip_forward=0")
        before = within("strata-lame")
        assert before["changed"] is False
        assert found(before) == {
            "host forwards for its bridges": [
                "This host does not forward what comes from br0",
                "This host does not forward what comes from br1",
            ],
            "bridges are up": ["The bridge br1 is down"],
            "there is a default route": ["There is no default route"],
            "the local resolver answers": ["The resolver 127.0.0.53 is nobody"],
            "subnets are apart": ["s1 and s2 have overlapping subnets"],
            "no address is there twice": ["203.0.113.5 is an address of s1 and s2"],
            "bridges have carrier": ["No port of the bridge br3 is alive"],
            "ports have the MTU of their bridge": ["p0 has another MTU than its bridge"],
            "bridges have ports": ["The bridge br1 has no ports", "The bridge br2 has no ports"],
        }
        run("ip", "-netns", "strata-lame", "-batch", "-", stdin=SOUND)
        (Path("/etc/netns/strata-lame/resolv.conf")).write_text("nameserver 192.0.2.53\n")
        set_sysctl("strata-lame", "net.ipv4.ip_forward=1")
        until(lambda: "LOWER_UP" in run("ip", "-netns", "strata-lame", "link", "show", "br3"), "br3 has no carrier")
        after = within("strata-lame")
        assert found(after) == {"bridges have ports": ["The bridge br1 has no ports"]}
        assert set(found(before)) - {"bridges have ports"} <= set(after["passed"])


TWO_WAYS = """
link set lo up
link add up1 type veth peer name far1
link add up2 type veth peer name far2
link add br0 type bridge
link add p0 type veth peer name q0
link add p1 type veth peer name q1
link set p0 master br0
link set p1 master br0
link set up1 mtu 1400
address add 192.0.2.2/24 dev up1
address add 198.51.100.2/24 dev up2
address add 203.0.113.1/24 dev br0
link set up1 up
link set far1 up
link set up2 up
link set far2 up
link set p0 up
link set q0 up
link set p1 up
link set q1 up
link set br0 up
route add default via 192.0.2.1 dev up1 metric 100
route add default via 198.51.100.1 dev up2 metric 200
"""


def test_two_ways_out_and_a_small_one():
    with namespace("strata-two", TWO_WAYS):
        set_sysctl(
            "strata-two", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.up2.rp_filter=1"
        )
        assert found(within("strata-two")) == {
            "answers may come in where they do": [
                "What comes in by up2 is dropped where the answer would leave by up1"
            ],
            "the way out takes what bridges send": ["Guests of br0 send larger packets than the way out takes"],
        }
        run(
            "ip",
            "-netns",
            "strata-two",
            "-batch",
            "-",
            stdin="route del default dev up2\nroute add default via 198.51.100.1 dev up2 table 100\n"
            "rule add from 198.51.100.2 lookup 100\nlink set up1 mtu 1500\n",
        )
        assert found(within("strata-two")) == {}


def test_a_firewall_for_others():
    with namespace("strata-wall", TWO_WAYS):
        set_sysctl(
            "strata-wall", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.up2.rp_filter=0"
        )
        run("ip", "-netns", "strata-wall", "link", "set", "up1", "mtu", "1500")

        def iptables(*words: str) -> None:
            run("ip", "netns", "exec", "strata-wall", "iptables", *words)

        iptables("-P", "FORWARD", "DROP")
        iptables("-A", "FORWARD", "-i", "docker0", "-j", "ACCEPT")
        wrong = within("strata-wall")
        assert set(found(wrong)) - {"frames within a bridge stay out of iptables"} == {"firewall lets bridges through"}
        finding = next(one for one in wrong["findings"] if one["check"] == "firewall lets bridges through")
        assert "drops what comes from br0" in finding["what"]
        assert "docker0" in finding["evidence"]
        # As the remedy says.
        iptables("-I", "FORWARD", "-i", "br0", "-j", "ACCEPT")
        assert found(within("strata-wall")) == {}


def test_a_workload_without_network_and_without_rights(tmp_path):
    copied = tmp_path / "resolv.conf"
    copied.write_text("nameserver 127.0.0.53\n")
    show = ("sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(copied))
    bare = ("setpriv", "--no-new-privs", "--bounding-set=-chown,-setuid")
    with process("unshare", "--net", "--mount", *show, *bare) as pid:
        seen = found(told(topic="network", workload=str(pid)))
        assert seen["links of the workload are up"] == [f"The network of process {pid} is not connected"]
        assert seen["the workload has a default route"] == [f"process {pid} has no default route"]
        assert seen["the workload has a resolver"] == [f"process {pid} can't look up names"]
        seen = found(told(topic="permissions", workload=str(pid)))
        assert seen["set-user-ID programs work in the workload"]
        assert seen["the workload has the usual capabilities"] == [
            f"process {pid} does without capabilities that programs expect: CHOWN, SETUID"
        ]
    with pytest.raises(Failed, match="nothing of that name runs here"):
        told(topic="network", workload="strata-nobody")


def test_a_path_that_a_user_cannot_open(tmp_path):
    shut, tree = tmp_path / "shut", tmp_path / "shut/tree"
    tree.mkdir(parents=True)
    for folder in (*tmp_path.parents, tmp_path):
        if folder.is_relative_to("/tmp/pytest-of-root"):
            folder.chmod(0o755)
    (tree / "data").write_text("x")
    (tmp_path / "link").symlink_to("shut/tree/data")
    shut.chmod(0o700)
    run("mount", "-t", "tmpfs", "-o", "noexec,nosuid", "none", str(tree))
    try:
        (tree / "data").write_text("x")
        (tree / "data").chmod(0o640)
        options = {"topic": "permissions", "path": str(tmp_path / "link"), "user": USER}
        wrong = told(**options)
        assert subprocess.run(
            ["runuser", "-u", USER, "cat", options["path"]], check=False, capture_output=True
        ).returncode
        assert found(wrong)["folders let the user pass"] == [f"{USER} may not pass {shut}"]
        assert found(wrong)["the user may read it"] == [f"{USER} may not read {tree}/data"]
        assert found(wrong)["the mount forbids nothing"] == [
            f"{tree}, which holds the path, is mounted noexec",
            f"{tree}, which holds the path, is mounted nosuid",
        ]
        # As the remedies say, by lists.
        run("setfacl", "-m", f"u:{USER}:x", str(shut))
        run("setfacl", "-m", f"u:{USER}:r", str(tree / "data"))
        assert run("runuser", "-u", USER, "cat", options["path"]) == "x"
        right = told(**options)
        assert {"folders let the user pass", "the user may read it"} <= set(right["passed"])
        missing = told(topic="permissions", path=str(tree / "nothing"))
        assert found(missing)["the path is there"] == [f"{tree}/nothing is not there, or may not be seen"]
    finally:
        run("umount", str(tree))


def test_owners_that_a_user_namespace_does_not_know(tmp_path):
    (tmp_path / "mine").write_text("x")
    os.chown(tmp_path / "mine", 100_005, 100_005)
    with process("unshare", "--user", "--setgroups=deny") as pid:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{name}").write_text("0 100000 65536\n")
        options = {"topic": "permissions", "path": str(tmp_path), "workload": str(pid)}
        wrong = found(told(**options))
        assert wrong["owners have an ID in the workload"] == [f"In process {pid}, 1 of 2 files there belong to nobody"]
        os.chown(tmp_path, 100_000, 100_000)
        assert "owners have an ID in the workload" in told(**options)["passed"]
        assert "the user may read it" in told(**{**options, "path": str(tmp_path / "mine")}, user="5")["passed"]


def test_subordinate_ids_that_two_users_share():
    file = Path("/etc/subuid")
    before = file.read_text() if file.exists() else ""
    taken = max((int(line.split(":")[1]) + int(line.split(":")[2]) for line in before.splitlines()), default=100_000)
    try:
        file.write_text(f"{before}{USER}:{taken}:65536\nmail:{taken + 1000}:65536\n")
        seen = found(told(topic="permissions", user="mail"))
        (what,) = seen["ranges of subordinate IDs are apart"]
        assert USER in what
        assert "mail" in what
        assert f"{taken + 1000}" in what
    finally:
        file.write_text(before)


# Docker.


@pytest.fixture
def _image(tmp_path):
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
    run("docker", "import", shutil.make_archive(str(tmp_path / "tree"), "tar", tree), IMAGE)
    yield
    for name in ("deaf", "late", "shy"):
        run("docker", "rm", "-f", f"strata-{name}", check=False)
    run("docker", "rmi", "-f", IMAGE)


@pytest.mark.usefixtures("_image")
def test_ports_that_lead_nowhere():
    def docker(name: str, ports: str, *argv: str, check: bool = True) -> None:
        options = ("--detach", "--stop-signal=KILL", f"--name=strata-{name}", f"--publish={ports}")
        run("docker", "run", *options, IMAGE, "/bin/busybox", *argv, check=check)

    with socket.create_server(("0.0.0.0", 8098)):
        docker("deaf", "8097:80", "sleep", "999")
        docker("late", "8098:80", "sleep", "999", check=False)
        docker("shy", "8099:80", "httpd", "-f", "-p", "127.0.0.1:80")
        seen = found(told(topic="network"))
        assert sorted(seen["somebody listens behind published ports"]) == [
            "Port 8097 of this host leads to port 80 of the container strata-deaf, and nothing listens on it",
            "Port 8099 of this host leads to port 80 of the container strata-shy, "
            "and it is listened on at the container's loopback alone",
        ]
        assert seen["published ports are the engine's"] == [
            "Port 8098 is to be that of the container strata-late, and another one has it"
        ]
    # As the remedies say.
    run("docker", "start", "strata-late")
    run("docker", "rm", "-f", "strata-shy")
    for name in ("deaf", "late"):
        run("docker", "exec", "-d", f"strata-{name}", "/bin/busybox", "nc", "-l", "-p", "80")
    after = told(topic="network")
    assert {"somebody listens behind published ports", "published ports are the engine's"} <= set(after["passed"])


# libvirt.

DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>64</memory>
  {extra}
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:00:07:{number}'/>
      <source network='{network}'/>
      <model type='virtio'/>
    </interface>
  </devices>
</domain>
"""
NETWORK = """
<network>
  <name>strata-trouble</name>
  <bridge name='strata-tr0'/>
  <ip address='198.51.100.1' netmask='255.255.255.0'><dhcp><range start='198.51.100.9' end='198.51.100.99'/></dhcp></ip>
</network>
"""
PAGES = "<memoryBacking><hugepages/></memoryBacking>"


def virsh(*words: str, check: bool = True) -> str:
    return run("virsh", "--quiet", *words, check=check)


@pytest.fixture
def machines(tmp_path):
    images = Path("/var/lib/libvirt/images/strata-trouble")
    images.mkdir()
    names: list[str] = []

    def define(name: str, disk: Path, *, extra: str = "") -> str:
        file = tmp_path / "domain.xml"
        number, network = f"{len(names):02}", "strata-trouble"
        file.write_text(DOMAIN.format(name=name, disk=disk, extra=extra, number=number, network=network))
        virsh("define", str(file))
        names.append(name)
        return name

    file = tmp_path / "network.xml"
    file.write_text(NETWORK)
    virsh("net-define", str(file))
    yield images, define
    for name in names:
        virsh("destroy", name, check=False)
        virsh("undefine", name)
    virsh("net-destroy", "strata-trouble", check=False)
    virsh("net-undefine", "strata-trouble")
    shutil.rmtree(images)


def qcow2(path: Path, *more: str) -> Path:
    run("qemu-img", "create", "-q", "-f", "qcow2", *more, str(path), *([] if more else ["8M"]))
    return path


def test_machines_that_do_not_start(machines):
    images, define = machines
    base, disk = qcow2(images / "base.qcow2"), images / "overlay.qcow2"
    qcow2(disk, "-b", str(base), "-F", "qcow2")
    plain = define("strata-plain", disk)
    # Its network is not active.
    seen = found(told(topic="vm", vm=plain))
    assert seen["networks of the machine are active"] == [
        "The network strata-trouble of strata-plain is defined and not active"
    ]
    virsh("net-autostart", "strata-trouble")
    assert found(told(topic="network"))["networks of libvirt that start at boot are active"]
    virsh("net-start", "strata-trouble")
    # Its backing file is gone.
    base.rename(images / "elsewhere")
    virsh("start", plain, check=False)
    seen = found(told(topic="vm", vm=plain))
    assert seen["disks and their backing files are there"] == [f"{base}, of the disk vda, is not there"]
    assert f"The backing file {base} of a disk is missing" in seen["QEMU and libvirt report no error"]
    assert "networks of the machine are active" not in seen
    (images / "elsewhere").rename(base)
    # Nobody but root may pass its folder.
    images.chmod(0o700)
    virsh("start", plain, check=False)
    seen = found(told(topic="vm", vm=plain))
    assert seen["QEMU's user may pass to the disks"] == [f"libvirt-qemu, as whom QEMU runs, may not pass {images}"]
    assert f"QEMU may not open {disk}" in seen["QEMU and libvirt report no error"]
    images.chmod(0o755)
    # More than there is, by far.
    large = define("strata-large", disk, extra=PAGES)
    free = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text().strip()
    seen = found(told(topic="vm", vm=large))
    assert seen["huge pages are free"] == [f"The machine needs 32 huge pages of 2M, and {free} are free"]
    # Another one has its disk.
    virsh("start", plain)
    other = define("strata-other", disk)
    virsh("start", other, check=False)
    seen = found(told(topic="vm", vm=other))
    assert any(what.startswith("Another process has a disk") for what in seen["QEMU and libvirt report no error"])
    # The one that runs is plugged out of its network, and paused; nothing else is wrong with it.
    virsh("net-destroy", "strata-trouble")
    virsh("net-start", "strata-trouble")
    virsh("suspend", plain)
    seen = found(told(topic="vm", vm=plain))
    assert set(seen) - {"KVM is usable"} == {"interfaces are plugged in", "nothing stopped the machine"}
    assert seen["nothing stopped the machine"] == ["The machine strata-plain is paused: user"]
    os.kill(int(Path("/run/libvirt/network/strata-trouble.pid").read_text()), 9)
    until(lambda: not run("pgrep", "-f", "strata-trouble.conf", check=False), "dnsmasq is still there")
    assert found(told(topic="network"))["networks of libvirt have their dnsmasq"] == [
        "Nobody hands out addresses and names on libvirt's network strata-trouble"
    ]
    assert found(told(topic="vm", vm="strata-none"))["the machine is known"] == ["There is no domain strata-none"]


@pytest.mark.machine
def test_refusals_in_the_log_of_the_kernel():
    profile = (
        "profile strata-trouble flags=(attach_disconnected) { file, deny /etc/hostname r, audit deny /etc/hosts r, }"
    )
    run("apparmor_parser", "--replace", stdin=profile)
    try:
        run("aa-exec", "-p", "strata-trouble", "--", "cat", "/etc/hosts", check=False)
        run(
            "systemd-run",
            "--quiet",
            "--wait",
            "-p",
            "SystemCallFilter=~mkdir mkdirat",
            "mkdir",
            "/tmp/strata",
            check=False,
        )
        until(
            lambda: {"AppArmor refused nothing", "seccomp refused nothing"} <= set(found(told(topic="permissions"))),
            "the kernel's log does not say it",
        )
        seen = told(topic="permissions")
        assert any(
            "profile strata-trouble refused cat open of /etc/hosts" in what
            for what in found(seen)["AppArmor refused nothing"]
        )
        assert any("caught mkdir at the call mkdir" in what for what in found(seen)["seccomp refused nothing"])
    finally:
        run("apparmor_parser", "--remove", stdin=profile)


@pytest.mark.machine
def test_user_namespaces_switched_off():
    before = run("sysctl", "-n", "user.max_user_namespaces")
    try:
        run("sysctl", "-qw", "user.max_user_namespaces=0")
        (what,) = found(told(topic="permissions"))["plain users may make user namespaces"]
        assert what.endswith("user.max_user_namespaces is 0")
    finally:
        run("sysctl", "-qw", f"user.max_user_namespaces={before}")


def test_options_of_another_topic():
    with pytest.raises(Failed, match="vm: is no option of the topic network"):
        told(topic="network", vm="vm1")
    with pytest.raises(Failed, match="path: is no absolute path"):
        told(topic="permissions", path="srv")
