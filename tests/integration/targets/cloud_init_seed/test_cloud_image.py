# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk with a distribution on it, which cloud-init makes the machine that is declared: under libvirt, and without it.

Both boot at the same time, once: that takes a minute or two where they are emulated. They are reached over SSH, by a
key that is declared as a host that is known.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.engines import entering
from tests.lab.driver import call, run
from tests.lab.libvirt_domains import IMAGES, SEEDS, document, virsh

LAB = Path("/srv/lab")
TOP = IMAGES / "strata-cloud"
DOMAIN, VM = "strata-cloud-a", "strata-cloud-b"
BRIDGE = "strata-cloud"
BOOT = {
    "kernel": str(LAB / "cloud-vmlinuz"),
    "initrd": str(LAB / "cloud-initrd"),
    # What isn't said and what isn't rebuilt is time where it is emulated.
    "cmdline": "root=/dev/vda rw console=ttyS0 quiet systemd.condition_needs_update=no module_blacklist=kvm",
    "memory": "512M",
}
CARD = "52:54:00:00:00:77"
STATIC = {
    "version": 2,
    "ethernets": {
        "lan": {
            "match": {"macaddress": CARD},
            "set-name": "lan",
            "addresses": ["10.0.2.15/24"],
            "routes": [{"to": "0.0.0.0/0", "via": "10.0.2.2"}],
        }
    },
}
TOKEN = "strata-f00"


def made(name: str) -> str:
    """A pair of keys; the public one."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(TOP / name))
    return (TOP / f"{name}.pub").read_text().strip()


def seed(name: str, **more) -> dict:
    """What a machine is told; its own key, so that whoever speaks to it knows that it does."""
    own = {"ed25519_private": (TOP / name).read_text(), "ed25519_public": (TOP / f"{name}.pub").read_text()}
    user = {
        "hostname": name,
        "ssh_authorized_keys": [(TOP / "admin.pub").read_text().strip()],
        "manage_etc_hosts": True,
        "ssh_pwauth": False,
        "ssh_keys": own,
        "resize_rootfs": False,  # the image has no resize2fs
        "runcmd": [["touch", f"/var/lib/{name}"]],
    }
    return {"cloud_init": {"user_data": user, **more}}


def image(name: str) -> dict:
    base = {"path": str(LAB / "cloud.qcow2"), "format": "qcow2"}
    return {"qemu_image": {"path": str(TOP / f"{name}.qcow2"), "backing": base}}


def entries() -> list[dict]:
    """A machine on a network that leases it an address, and one that is told its own, behind a port of the host's."""
    return [
        image(DOMAIN),
        image(VM),
        {
            "libvirt_network": {
                "name": "strata-cloud",
                "bridge": BRIDGE,
                "forward": {"mode": "isolated"},
                "ip": {"address": "198.51.100.1/24", "dhcp": {"ranges": [["198.51.100.10", "198.51.100.20"]]}},
            }
        },
        {
            "libvirt_domain": {
                "name": DOMAIN,
                **BOOT,
                **seed(DOMAIN),
                "disks": [{"file": str(TOP / f"{DOMAIN}.qcow2"), "bus": "virtio"}],
                "networks": [{"network": "strata-cloud", "model": "virtio"}],
                "console_log": f"/var/log/libvirt/qemu/{DOMAIN}-console.log",
                "guest_agent": True,
                "wait_for": ["lease", "agent", "cloud_init"],
                "wait_timeout": "20m",
            }
        },
        {
            "qemu_vm": {
                "name": VM,
                **BOOT,
                **seed(VM, network_config=STATIC),
                "drives": [{"file": str(TOP / f"{VM}.qcow2")}],
                "networks": [{"type": "user", "mac": CARD, "forwards": ["tcp:127.0.0.1:0:22"]}],
                "serial": {"path": str(TOP / f"{VM}.log")},
            }
        },
    ]


def declared(resources: list[dict]) -> dict:
    return call("stack", {"name": "strata-cloud", "resources": resources, "prune": True, "parallel": 2})


def log_in(name: str, place: tuple[str, ...], command: str = "", *, user: str = "debian", **options: str):
    """Log in as somebody, where the machine has the key that was declared; else SSH refuses to go on."""
    told = {
        "BatchMode": "yes",
        "ConnectTimeout": "60",
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": name,
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(TOP / "known"),
        **options,
    }
    argv = ["ssh", "-F", "none", "-i", str(TOP / "admin"), "-l", user]
    argv += [word for option, value in told.items() for word in ("-o", f"{option}={value}")]
    return subprocess.run([*argv, *place, command], capture_output=True, text=True, check=False, timeout=300)


def says(name: str, place: tuple[str, ...], command: str) -> dict[str, str]:
    """What a machine says of itself, line by line, once it can be asked: one may boot slower than the other."""
    until = time.monotonic() + 20 * 60
    while (done := log_in(name, place, command)).returncode == 255 and time.monotonic() < until:
        time.sleep(3)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


LOOK = r"""
echo "done=$(cloud-init status --wait)"
echo "name=$(uname -n)"
echo "sudo=$(sudo -n id -un)"
echo "passwords=$(sudo -n sshd -T | sed -n 's/^passwordauthentication //p')"
echo "ran=$(ls /var/lib/strata-cloud-*)"
echo "source=$(cat /run/cloud-init/cloud-id)"
echo "addresses=$(ip -brief -4 address show up scope global)"
echo "route=$(ip route show default)"
"""


@pytest.fixture(scope="module", autouse=True)
def _machines():
    shutil.rmtree(TOP, ignore_errors=True)  # of a run that was cut short
    TOP.mkdir(mode=0o755)
    try:
        made("admin")
        lines = [f"{name} {made(name)}" for name in (DOMAIN, VM)]
        (TOP / "known").write_text("\n".join(lines) + "\n")
        assert declared(entries())["changed"]
        yield
    finally:
        call("qemu_vm", {"name": VM, "state": "absent", "force": True, "timeout": "1"})
        declared([])
        left = [*SEEDS.glob(f"{DOMAIN}.*"), *TOP.glob("*.qcow2"), *Path("/sys/class/net").glob(BRIDGE)]
        shutil.rmtree(TOP)
        Path(f"/var/log/libvirt/qemu/{DOMAIN}-console.log").unlink(missing_ok=True)
    assert left == []


def address() -> str:
    return re.search(r"198\.51\.100\.\d+", virsh("domifaddr", DOMAIN)).group()


def test_the_domain_is_what_was_declared_and_was_waited_for():
    """It was waited for: it has its address, its agent answers, and cloud-init is done."""
    there = address()
    assert virsh("qemu-agent-command", DOMAIN, '{"execute": "guest-ping"}') == '{"return":{}}'
    said = says(DOMAIN, (there,), LOOK)
    assert (said["name"], said["sudo"], said["ran"]) == (DOMAIN, "root", f"/var/lib/{DOMAIN}")
    assert (said["done"], said["source"], said["passwords"]) == ("status: done", "nocloud", "no")
    assert there in said["addresses"]
    disks = document(DOMAIN).findall("devices/disk/target")
    assert [disk.get("dev") for disk in disks] == ["vda", "vdz"]


def test_the_vm_is_what_was_declared_with_an_address_of_its_own():
    (one,) = call("qemu_vm_info", {"name": [VM]})["resources"]
    place = ("-p", str(one["facts"]["ports"][0]["port"]), "127.0.0.1")
    said = says(VM, place, LOOK)
    assert (said["name"], said["sudo"], said["ran"]) == (VM, "root", f"/var/lib/{VM}")
    assert (said["done"], said["source"], said["passwords"]) == ("status: done", "nocloud", "no")
    assert said["addresses"].split() == ["lan", "UP", "10.0.2.15/24"]
    assert said["route"].strip() == "default via 10.0.2.2 dev lan proto static"


def test_nobody_gets_in_but_by_the_key():
    by_password = {"PubkeyAuthentication": "no", "PreferredAuthentications": "password,keyboard-interactive"}
    for user, options, words in (
        ("debian", by_password, "Permission denied (publickey)"),
        ("root", by_password, "Permission denied (publickey)"),
        ("debian", {"HostKeyAlias": VM}, "Host key verification failed"),  # it isn't the other one
    ):
        done = log_in(DOMAIN, (address(),), "true", user=user, **options)
        assert (done.returncode, words in done.stderr) == (255, True), done.stderr


def test_a_command_runs_in_it_by_its_agent():
    """As the connection into guests does, its host by this one's shell."""
    argv = entering.entering("libvirt", DOMAIN, "debian", TOKEN, "id -un; uname -n; cat; exit 7", reads=True)
    done = subprocess.run(argv, input=b"in\n", capture_output=True, check=False)
    found = entering.outcome(TOKEN, done.returncode, done.stdout, done.stderr)
    assert (found.status, found.stdout.decode()) == (7, f"debian\n{DOMAIN}\nin\n"), found.stderr


def test_a_second_run_changes_nothing():
    again = declared(entries())
    assert [(one["name"], one["changes"]) for one in again["resources"] if one["changed"]] == []
    assert (again["changed"], again["restart_required"]) == (False, [])
    assert len(list(SEEDS.glob(f"{DOMAIN}.*.iso"))) == 1
