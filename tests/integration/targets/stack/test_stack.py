# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""stack, over every kind at once, looked at through each engine's own tools."""

from __future__ import annotations

import json
import random
import re
import shutil
import socket
from pathlib import Path

import pytest

from tests.lab import docker_api
from tests.lab.driver import Failed, Killed, call, run

OWNER = "strata-mixed"
NAME = "strata-mixed"
GROUP = Path("/sys/fs/cgroup/strata.slice/strata.service")
TREE = Path("/srv/strata-mixed")
RECORD = Path(f"/var/lib/strata/stacks/{OWNER}.json")
IMAGE = "strata-mixed:1.0"
DISK = Path("/srv/strata-mixed.qcow2")
TEMPLATE = str(Path(__file__).parent.parent / "lxc_container" / "template")
KINDS = ["cgroup", "docker_container", "libvirt_domain", "lxc_container", "nspawn_container", "qemu_image"]
TOUCHES = (
    "core.files.write",
    "core.command.run",
    "engines.cgroupfs.write",
    "engines.docker.Docker.create",
    "engines.docker.Docker.start",
    "engines.libvirt.Host.define",
)


def entries() -> list[dict]:
    tree = str(TREE)
    return [
        {"cgroup": {"name": NAME, "memory": "64M"}},
        {"nspawn_container": {"name": NAME, "image": tree, "boot": False, "state": "stopped", "memory": "128M"}},
        {"lxc_container": {"name": NAME, "template": TEMPLATE, "state": "stopped", "memory": "64M"}},
        {"docker_container": {"name": NAME, "image": IMAGE, "state": "present", "memory": "64M", "pids_limit": 64}},
        {
            "libvirt_domain": {
                "name": NAME,
                "memory": "64M",
                "vcpus": 1,
                "disks": [{"file": str(DISK)}],
                "state": "shutdown",
            }
        },
        {"qemu_image": {"path": str(DISK), "size": "64M"}},
    ]


def look() -> dict:
    """What the host has of each, by the engines' own tools."""
    seen: dict = {}
    group = GROUP / NAME
    if group.is_dir():
        seen["cgroup"] = (group / "memory.max").read_text().strip()
    unit = f"systemd-nspawn@{NAME}.service"
    if Path(f"/etc/systemd/system/{unit}.d").exists():
        seen["nspawn_container"] = run("systemctl", "show", "--property=MemoryMax", "--value", unit)
    if NAME in run("lxc-ls", "-1").split():
        config = Path(f"/var/lib/lxc/{NAME}/config").read_text()
        seen["lxc_container"] = re.findall(r"lxc.cgroup2.memory.max\s*=\s*(\S+)", config)
    found = docker_api.container(NAME)
    if found is not None:
        host = found["HostConfig"]
        seen["docker_container"] = [host["Memory"], host["PidsLimit"]]
    if NAME in run("virsh", "list", "--all", "--name").split():
        document = run("virsh", "dumpxml", NAME)
        seen["libvirt_domain"] = re.findall(r"<memory unit='KiB'>(\d+)<|<source file='(.*?)'", document)
    if DISK.exists():
        seen["qemu_image"] = json.loads(run("qemu-img", "info", "--output=json", str(DISK)))["virtual-size"]
    return seen


def stack(resources: list[dict], **more) -> dict:
    check = more.pop("check", False)
    options = {"name": OWNER, "prune": True, "resources": resources, **more}
    return call("stack", options, check=check)


@pytest.fixture(scope="module", autouse=True)
def _surroundings(tmp_path_factory):
    shutil.rmtree(TREE, ignore_errors=True)  # of a run that was cut short
    for folder in ("bin", "etc", "dev", "proc", "sys", "tmp", "root", "usr/lib"):
        (TREE / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy("/usr/bin/busybox", TREE / "bin/busybox")
    (TREE / "bin/sh").symlink_to("busybox")
    (TREE / "usr/lib/os-release").write_text("ID=tiny\n")
    folder = tmp_path_factory.mktemp("image")
    shutil.copy("/usr/bin/busybox", folder / "busybox")
    recipe = 'FROM scratch\nCOPY busybox /bin/busybox\nSTOPSIGNAL SIGKILL\nCMD ["/bin/busybox", "sleep", "99999"]\n'
    (folder / "Dockerfile").write_text(recipe)
    run("env", "DOCKER_BUILDKIT=0", "docker", "build", "--quiet", "--tag", IMAGE, str(folder))
    yield
    stack([])
    run("docker", "image", "rm", IMAGE)
    shutil.rmtree(TREE)


@pytest.fixture(autouse=True)
def _clean():
    stack([])
    assert look() == {}


def test_all_kinds_in_one_task():
    forecast = stack(entries(), check=True)
    assert look() == {}
    done = stack(entries())
    assert done["diff"] == forecast["diff"]
    seen = look()
    assert seen["cgroup"] == "67108864"
    assert seen["nspawn_container"] == "134217728"
    assert seen["docker_container"] == [67108864, 64]
    assert seen["libvirt_domain"] == [("65536", ""), ("", str(DISK))]
    assert seen["qemu_image"] == 64 << 20
    assert sorted(seen) == KINDS
    shuffled = entries()
    random.Random(3).shuffle(shuffled)
    assert stack(shuffled)["changed"] is False


def test_an_unchanged_run_writes_nothing():
    stack(entries())
    before = RECORD.stat().st_mtime_ns
    with_eyes = ("core.files.write", "core.files.remove", "engines.cgroupfs.write", "engines.docker.Docker.update")
    # Killed at the first touch, if there were one.
    assert call("stack", {"name": OWNER, "prune": True, "resources": entries()}, touches=with_eyes, die_at=1)
    assert RECORD.stat().st_mtime_ns == before


def test_what_is_no_longer_declared_goes_and_what_others_made_stays():
    theirs = f"{NAME}-theirs"
    run("docker", "create", "--name", theirs, IMAGE)
    try:
        stack(entries())
        kept = entries()[:2]
        forecast = stack(kept, check=True)
        assert sorted(look()) == KINDS
        done = stack(kept)
        assert done["diff"] == forecast["diff"]
        assert sorted(look()) == ["cgroup", "nspawn_container"]
        assert stack(kept)["changed"] is False
        assert not DISK.exists()
        RECORD.unlink()
        stack([])
        assert look() == {}
        assert docker_api.container(theirs) is not None
    finally:
        docker_api.remove(theirs)


def test_an_export_declares_what_is_there():
    stack(entries())
    exported = call("stack_export", {"owner": OWNER})
    assert exported["unread"] == {}
    assert sorted(kind for entry in exported["resources"] for kind in entry) == KINDS
    assert stack(exported["resources"])["changed"] is False


@pytest.mark.parametrize("touch", [1, 4, 7, 10, 13, 16])
def test_killed_half_way_it_loses_nothing(touch):
    try:
        call("stack", {"name": OWNER, "resources": entries(), "parallel": 1}, touches=TOUCHES, die_at=touch)
    except Killed:
        stack(entries())
    seen = look()
    assert sorted(seen) == KINDS
    assert stack(entries())["changed"] is False


def test_one_failure_does_not_stop_the_others():
    # The port is taken, which only starting tells.
    with socket.create_server(("127.0.0.1", 18099)):
        wanted = entries()
        wanted[3]["docker_container"] |= {"published_ports": ["127.0.0.1:18099:80"], "state": "started"}
        with pytest.raises(Failed) as failed:
            stack(wanted)
        assert f"docker_container/{NAME}" in failed.value.result["msg"]
        assert set(KINDS) - {"docker_container"} <= set(look())
    stack(wanted)
    assert stack(wanted)["changed"] is False


BAD = [
    ({"dokcer": {"name": "x"}}, "there is no kind 'dokcer'"),
    ({"cgroup": {"name": "x", "colour": "red"}}, "colour"),
    ({"docker_container": {"name": "xx", "image": IMAGE, "pids_limit": "many"}}, "pids_limit"),
    ({"cgroup": {"name": "x", "memory": "12X"}}, "memory: is no size"),
    ({"lxc_container": {"name": "x", "cpus": -1}}, "cpus"),
    ({"libvirt_domain": {"name": ""}}, "name"),
    ({"nspawn_container": {"name": "a/b", "image": "/srv"}}, "name"),
    ({"docker_container": {"name": "..", "image": IMAGE}}, "name"),
    ({"cgroup": {"name": NAME}}, "is declared twice"),
    ({"docker_container": {"name": "xx", "image": "strata-nowhere:1"}}, "strata-nowhere:1"),
    ({"nspawn_container": {"name": "x", "image": "/srv/strata-nowhere"}}, "/srv/strata-nowhere"),
    ({"libvirt_domain": {"name": "x", "memory": "64M", "disks": [{"file": "/srv/no.qcow2"}]}}, "/srv/no.qcow2"),
    ({"docker_container": {"name": "xx", "image": IMAGE, "docker_host": "unix:///run/no.sock"}}, "docker_container/xx"),
]


def test_bad_input_is_one_clear_message_and_nothing_is_touched():
    for entry, words in BAD:
        for check in (True, False):
            with pytest.raises(Failed) as failed:
                stack([*entries()[:1], entry], check=check)
            message = failed.value.result["msg"]
            assert words in message
            assert next(iter(entry)) in message
            assert "Traceback" not in message
        assert look() == {}, entry
