# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""nspawn_container: its files, what systemd says, and what is planned. The fixtures are a Debian 13's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import command
from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, verify
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Layer
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import (
    cgroupfs,
    mounts,
    notes,
    nspawn,
    nspawn_images,
    systemd,
    trees,
    unitlimits,
)
from ansible_collections.strata.virt.plugins.module_utils.engines.unitfile import UnitFile
from ansible_collections.strata.virt.plugins.module_utils.kinds import nspawn_fields, nspawn_hardening, nspawn_settings
from ansible_collections.strata.virt.plugins.module_utils.kinds.nspawn_container import NspawnContainer

FIXTURES = Path(__file__).parents[1] / "fixtures" / "nspawn_container"
GIB = 1024**3
MIB = 1024**2


@pytest.fixture
def host(tmp_path, monkeypatch):
    """The recorded host: build runs and its memory was changed by hand, theirs is stored, gone is not there."""
    folders = {"SETTINGS": "settings", "IMAGES": "images", "RUN": "run"}
    for constant, folder in folders.items():
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(nspawn, constant, str(tmp_path / folder))
    units, kernel = tmp_path / "units", tmp_path / "cgroup"
    monkeypatch.setattr(systemd, "UNITS", str(units))
    monkeypatch.setattr(cgroupfs, "MOUNT", str(kernel))
    group = kernel / "machine.slice" / "systemd-nspawn@build.service"
    drop_ins = units / "systemd-nspawn@build.service.d"
    group.mkdir(parents=True)
    drop_ins.mkdir(parents=True)
    for file in ("memory.max", "cpu.max", "pids.max"):
        shutil.copy(FIXTURES / file, group)
    shutil.copy(FIXTURES / "50-strata.conf", drop_ins)
    runtime = tmp_path / "50-MemoryMax.conf"
    shutil.copy(FIXTURES / "50-MemoryMax.conf", runtime)
    for name in ("build", "theirs"):
        shutil.copy(FIXTURES / f"{name}.nspawn", tmp_path / "settings")
    shutil.copy(FIXTURES / "build.nspawn", tmp_path / "run")
    for folder in (tmp_path / "images" / "build", tmp_path / "run" / "build.image"):
        folder.symlink_to("/srv/strata-fix/tiny")
    answer = (FIXTURES / "show.txt").read_text().replace("/etc/systemd/system", str(units))
    answer = answer.replace("/run/systemd/system.control/systemd-nspawn@build.service.d", str(tmp_path))
    programs = []

    def run(argv, **_more):
        programs.append(argv)
        return subprocess.CompletedProcess(argv, 0, answer, "")

    monkeypatch.setattr(command, "run", run)
    host = NspawnContainer.read_many(None, ["build", "theirs", "gone"])
    assert len(programs) == 1, "more than one program for three machines"
    return host


def known(state, **facts):
    return replace(state, facts={**state.facts, "image_there": True, "image_taken": False, **facts})


def plan(seen, facts=None, **options):
    return NspawnContainer({"name": "build", **options}).plan(known(seen, **(facts or {})))


def test_what_is_stored_and_what_runs_are_told_apart(host):
    build = host["build"]
    assert (build.status, build.owner) == ("running", "")
    assert (build.config["memory"], build.live["memory"]) == (GIB, 64 * MIB)
    assert build.config["cpus"] == build.live["cpus"] == 150_000
    assert build.config["pids_limit"] == build.live["pids_limit"] == 256
    assert build.config["boot"] is build.live["boot"] is False
    assert build.config["image"] == build.live["image"] == "/srv/strata-fix/tiny"
    assert (build.config["command"], build.config["hostname"]) == (("/bin/sleep", "infinity"), "build")
    assert build.config["settings"] == {}
    assert build.facts["stale"] is False


def test_what_somebody_else_stored_is_read_and_what_is_not_there_is_absent(host):
    theirs = host["theirs"]
    assert (theirs.status, theirs.owner, theirs.live) == ("stopped", None, None)
    assert theirs.config["command"] == ("/bin/sleep", "infinity")
    assert theirs.config["binds"] == ({"source": "/mnt", "path": "/mnt"}, {"source": "/srv", "path": "/srv"})
    assert theirs.config["pids_limit"] == 16384
    assert not host["gone"].exists


def test_a_limit_that_drifted_is_brought_back_live(host):
    made = plan(host["build"], memory="1G", cpus=1.5)
    assert made.steps == ("update",)
    assert made.of(Layer.LIVE) == {"memory": GIB}


def test_a_new_limit_is_stored_and_brought_in_live(host):
    made = plan(host["build"], memory="2G", pids_limit="max")
    assert made.steps == ("configure", "update")
    assert made.restart_required == []


def test_other_settings_are_stored_and_wait_for_a_restart(host):
    wanted = {"boot": True, "settings": {"Exec": {"Hostname": "other"}}}
    made = plan(host["build"], **wanted)
    assert made.steps == ("configure",)
    assert made.restart_required == ["boot", "hostname"]
    assert plan(host["build"], restart="if_needed", **wanted).steps == ("configure", "restart")


def test_a_drifted_limit_is_put_right_before_a_restart(host):
    made = plan(host["build"], restart="if_needed", memory="1G", boot=True)
    assert made.steps == ("configure", "update", "restart")


def test_what_systemd_has_not_read_is_read(host):
    made = plan(host["build"], {"stale": True}, cpus=1.5)
    assert made.steps == ("update",)
    assert [change.name for change in made.changes] == ["unit"]
    assert not plan(host["gone"], {"stale": True}, state="absent")


def test_a_missing_tree_is_an_error_before_anything_is_touched(host):
    with pytest.raises(StrataError, match=r"no directory tree at .*/build. .*nspawn_image"):
        NspawnContainer({"name": "build"}).plan(replace(ABSENT, facts={"image_there": False, "image_taken": False}))
    assert not plan(host["build"], {"image_there": False}, cpus=1.5)  # it runs: nobody asks for its tree


def test_a_later_drop_in_of_somebody_elses_is_named(host):
    facts = {"limits_from": {"cpus": "/etc/systemd/system/x.service.d/90-theirs.conf"}}
    with pytest.raises(StrataError, match=r"cpus: is set by .*90-theirs.conf"):
        plan(host["build"], facts, cpus=2)


def test_a_machine_on_its_way_is_waited_for(host):
    starting = replace(host["theirs"], status="starting")
    assert plan(starting).steps == ("start",)
    assert plan(starting, state="stopped").steps == ("stop",)
    assert plan(replace(starting, status="stopping")).steps == ("stop", "start")


def test_an_export_declares_what_is_there(host):
    for name in ("build", "theirs"):
        options = NspawnContainer.export(name, host[name])
        made = NspawnContainer(options).plan(known(host[name]))
        assert [change.layer for change in made.changes] == ([Layer.LIVE] if name == "build" else [])


def test_a_stack_drops_settings_key_by_key(host):
    applied = {"settings": {"Exec": {"Hostname": "build", "Parameters": "x"}}}
    wanted = NspawnContainer(
        {"name": "build", "settings": {"Exec": {"Parameters": "/bin/sleep infinity"}}}, applied=applied
    )
    made = wanted.plan(known(host["build"]))
    assert [(change.name, change.after) for change in made.changes] == [("hostname", "")]
    applied = {"settings": {"Exec": {"Personality": "x86"}, "Service": {"Restart": "always"}}}
    odd = replace(host["theirs"], config={"settings": {"Exec.Personality": "x86", "Service.Restart": "always"}})
    made = NspawnContainer({"name": "theirs", "state": "stopped"}, applied=applied).plan(known(odd))
    assert made.want["settings"] == {"Exec.Personality": None, "Service.Restart": None}
    assert made.steps == ("configure",)


def test_a_machine_has_begun_when_a_program_of_its_own_runs():
    itself = [sys.executable, "-c", "import time; print(flush=True); time.sleep(9)"]
    child = [sys.executable, "-c", f"import subprocess; subprocess.run({itself!r})"]
    other = [sys.executable, "-c", "import subprocess; subprocess.run(['sh', '-c', 'echo; sleep 9; :'])"]
    for argv, begun in ((child, False), (other, True)):
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            try:
                assert nspawn.has_begun(process.pid) is begun
            finally:
                process.kill()


# Every typed option: as it is declared, and as systemd.nspawn(5) spells it.

SPELLED = {
    "boot": (False, "[Exec]\nBoot=no\n"),
    "command": (["/bin/sh", "-c", 'echo "a b" \\ c'], "[Exec]\nParameters=/bin/sh -c 'echo \"a b\" \\ c'\n"),
    "env": (["B=two words", "A=1"], "[Exec]\nEnvironment=A=1\nEnvironment='B=two words'\n"),
    "user": ("web", "[Exec]\nUser=web\n"),
    "working_directory": ("/srv", "[Exec]\nWorkingDirectory=/srv\n"),
    "hostname": ("build", "[Exec]\nHostname=build\n"),
    "ephemeral": (True, "[Exec]\nEphemeral=yes\n"),
    "private_users": ("identity", "[Exec]\nPrivateUsers=identity\n"),
    "capabilities": (["net_admin", "CAP_SYS_TIME"], "[Exec]\nCapability=CAP_NET_ADMIN CAP_SYS_TIME\n"),
    "cap_drop": (["all"], "[Exec]\nDropCapability=all\n"),
    "ambient_capabilities": (["NET_RAW"], "[Exec]\nAmbientCapability=CAP_NET_RAW\n"),
    "no_new_privileges": (True, "[Exec]\nNoNewPrivileges=yes\n"),
    "system_call_filter": (
        ["~ptrace", "@keyring", "bpf", "~@swap"],
        "[Exec]\nSystemCallFilter=@keyring bpf\nSystemCallFilter=~@swap ptrace\n",
    ),
    "resolv_conf": ("bind-stub", "[Exec]\nResolvConf=bind-stub\n"),
    "timezone": ("off", "[Exec]\nTimezone=off\n"),
    "link_journal": ("no", "[Exec]\nLinkJournal=no\n"),
    "read_only": (True, "[Files]\nReadOnly=yes\n"),
    "binds": (
        [
            {"source": "/srv/data", "path": "/data", "read_only": True},
            {"source": "/srv/a:b"},
            {"source": "", "path": "/scratch", "options": "idmap"},
        ],
        "[Files]\nBind=:/scratch:idmap\nBind=/srv/a\\:b\nBindReadOnly=/srv/data:/data\n",
    ),
    "overlays": (
        [
            {"path": "/etc", "lower": ["/srv/top", "+/etc"], "upper": ""},
            {"path": "/opt", "lower": ["/srv/b", "/srv/a"]},
        ],
        "[Files]\nOverlay=+/etc:/srv/top::/etc\nOverlayReadOnly=/srv/a:/srv/b:/opt\n",
    ),
    "tmpfs": (["/tmp/", "/run:size=64m"], "[Files]\nTemporaryFileSystem=/run:size=64m\nTemporaryFileSystem=/tmp\n"),
    "inaccessible": (["/proc/kcore"], "[Files]\nInaccessible=/proc/kcore\n"),
    "network_namespace": ("blue", "[X-Strata]\nNetworkNamespace=/run/netns/blue\n"),
    "network_bridge": ("br0", "[Network]\nBridge=br0\n"),
    "network_zone": ("lan", "[Network]\nZone=lan\n"),
    "network_veth": (False, "[Network]\nVirtualEthernet=no\n"),
    "network_veth_extra": (["ve-a:a"], "[Network]\nVirtualEthernetExtra=ve-a:a\n"),
    "network_interfaces": (["eth2", "eth1"], "[Network]\nInterface=eth1 eth2\n"),
    "network_macvlan": (["eth0"], "[Network]\nMACVLAN=eth0\n"),
    "network_ipvlan": (["eth0:lan0"], "[Network]\nIPVLAN=eth0:lan0\n"),
    "ports": (["8443", "udp:53", "8080:80"], "[Network]\nPort=tcp:8080:80\nPort=tcp:8443:8443\nPort=udp:53:53\n"),
}


def test_every_typed_option_has_a_case():
    assert set(SPELLED) == {field.name for field in nspawn_fields.KEYS}


@pytest.mark.parametrize("option", SPELLED)
def test_a_typed_option_is_spelled_and_read_back(option):
    given, text = SPELLED[option]
    wanted = NspawnContainer({"name": "a", option: given})
    assert nspawn_settings.patch("", {option: wanted.spec[option]}) == text
    field = NspawnContainer.field(option)
    seen = nspawn_settings.read_settings(text)[option]
    assert list(field.changes(seen, wanted.spec[option], field.effect, Layer.CONFIG)) == []
    assert field.decode(field.show(seen)) == seen
    assert nspawn_settings.patch(text, {option: field.default}).strip("[ExecFilsNtwork]X-Sa\n") == ""


@pytest.mark.parametrize("option", SPELLED)
def test_settings_may_spell_what_has_an_option(option):
    _given, text = SPELLED[option]
    section = text[1 : text.index("]")]
    keys: dict[str, list[str]] = {}
    for line in text.splitlines()[1:]:
        keys.setdefault(line.partition("=")[0], []).append(line.partition("=")[2])
    spelled = NspawnContainer({"name": "a", "settings": {section: keys}})
    assert "settings" not in spelled.spec
    assert nspawn_settings.patch("", spelled.spec) == text


def test_a_key_that_is_null_in_settings_goes_back_to_its_default():
    spec = NspawnContainer({"name": "a", "settings": {"Exec": {"Hostname": None, "KillSignal": None}}}).spec
    assert (spec["hostname"], spec["settings"]) == ("", {"Exec.KillSignal": None})


def test_restarted_is_started_with_a_restart_each_time(host):
    made = plan(host["build"], state="restarted", cpus=1.5)
    assert made.steps == ("restart",)
    settled = NspawnContainer({"name": "build", "state": "restarted", "cpus": 1.5}).settled()
    assert not settled.plan(known(host["build"]))


def test_what_belongs_to_the_unit_is_stored_there_and_needs_no_restart(host):
    made = plan(host["build"], settings={"Service": {"Restart": "on-failure"}, "Unit": {"After": "docker.service"}})
    assert (made.steps, made.restart_required) == (("configure", "update"), [])
    assert nspawn_settings.patch("", made.want) == ""


def test_a_device_is_let_through_by_the_unit_too(host, monkeypatch):
    monkeypatch.setattr(systemd, "reload", lambda: None)
    made = NspawnContainer({"name": "theirs", "state": "stopped", "binds": [{"source": "/dev/kvm"}]})
    made.create(None, made.plan(known(host["theirs"])))
    drop_in = UnitFile(Path(nspawn.drop_in_path("theirs")).read_text())
    assert drop_in.all("Service", "DeviceAllow") == ["/dev/kvm rwm"]
    assert UnitFile(Path(nspawn.settings_path("theirs")).read_text()).all("Files", "Bind") == ["/dev/kvm"]
    text = Path(nspawn.settings_path("theirs")).read_text()
    assert NspawnContainer._settings(text, drop_in)["binds"] == ({"source": "/dev/kvm", "path": "/dev/kvm"},)
    assert NspawnContainer._settings(text, UnitFile(""))["binds"] == ()


FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.0.3.0
        /24 link UNICAST
     |-- 10.0.3.20
        /32 host LOCAL
     |-- 10.0.3.255
        /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
"""
INET6 = "fe80000000000000505400fffe123456 02 40 20 80    host0\n00000000000000000000000000000001 01 80 10 80       lo\n"


def test_addresses_are_read_from_the_machines_own_tables():
    assert nspawn._local(FIB_TRIE + FIB_TRIE) == ["10.0.3.20"]
    assert nspawn._listed(INET6) == ["fe80::5054:ff:fe12:3456"]


# The tree of a machine.


@pytest.fixture
def golden(host, monkeypatch, tmp_path):
    """A read-only image."""
    tree = tmp_path / "images" / "golden"
    (tree / "etc").mkdir(parents=True)
    monkeypatch.setattr(nspawn_images, "_flag", lambda path, type_: path == str(tree))
    monkeypatch.setattr(nspawn_images, "LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(trees, "on_btrfs", lambda path: False)
    read = {"DropInPaths": str(tmp_path / "units/systemd-nspawn@new.service.d/50-strata.conf")}
    monkeypatch.setattr(systemd, "show", lambda units, properties: dict.fromkeys(units, read))
    for function in ("reload", "reset_failed", "forget_set"):
        monkeypatch.setattr(systemd, function, lambda *given: None)
    return tree


def converged(**options):
    machine = NspawnContainer({"name": "new", "state": "stopped", **options})
    made = machine.plan(read_one(machine, None))
    carry_out(machine, None, made)
    verify(machine, None, read_one(machine, None))
    return made


def test_a_machine_of_a_read_only_image_gets_a_clone_that_goes_with_it(golden):
    own = golden.parent / "new"
    made = converged(image="golden")
    assert ("tree", "own") in [(change.name, change.after) for change in made.changes]
    assert (own / "etc").is_dir()
    assert not own.is_symlink()
    (own / "mine").write_text("")
    for same in ({"image": str(golden)}, {"image": "new"}, {}):
        assert not converged(**same)
    drop_in = UnitFile(Path(nspawn.drop_in_path("new")).read_text())
    assert (drop_in.all("Unit", "RequiresMountsFor"), drop_in.last("X-Strata", "Image")) == ([], None)
    with pytest.raises(StrataError, match=r"cloned from .*/golden, and what it wrote there would be lost"):
        converged(image=str(golden.parent / "build"))
    assert (own / "mine").exists()
    converged(state="absent")
    assert sorted(entry.name for entry in golden.parent.iterdir()) == ["build", "golden"]


def test_a_machine_that_writes_nothing_or_keeps_nothing_runs_from_the_image_itself(golden):
    own = golden.parent / "new"
    converged(image="golden", read_only=True)
    assert own.readlink() == golden
    converged(image="golden", ephemeral=True, read_only=False)
    assert own.readlink() == golden
    made = converged(image="golden", ephemeral=False)
    assert [change.name for change in made.changes] == ["tree", "ephemeral"]
    assert own.is_dir()
    assert not own.is_symlink()
    assert UnitFile(Path(nspawn.drop_in_path("new")).read_text()).last("X-Strata", "Image") is None


def test_a_clone_that_was_killed_is_made_again(golden, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(notes, "announce", lambda *given: 1 / 0)
        patched.setattr(nspawn_images, "sweep", lambda name: None)
        with pytest.raises(ZeroDivisionError):
            converged(image="golden")
    assert not (golden.parent / "new").exists()
    converged(image="golden")
    names = sorted(entry.name for entry in golden.parent.iterdir())
    assert names == ["build", "golden", "new", "new.strata.json"]


def test_a_tree_that_comes_meanwhile_is_not_replaced(golden):
    machine = NspawnContainer({"name": "new", "state": "stopped", "image": "golden"})
    made = machine.plan(read_one(machine, None))
    theirs = golden.parent / "new" / "theirs"
    theirs.mkdir(parents=True)
    with pytest.raises(StrataError, match="came there meanwhile, and is not replaced"):
        carry_out(machine, None, made)
    assert theirs.is_dir()


def test_an_image_that_is_made_read_only_before_is_one_to_clone(golden, monkeypatch):
    monkeypatch.setattr(nspawn_images, "_flag", lambda path, type_: False)
    machine = NspawnContainer({"name": "new", "image": "golden", "state": "stopped"})
    assert "tree" not in machine.plan(read_one(machine, None)).want
    machine.promised = frozenset({("path", str(golden)), ("read-only image", str(golden))})
    assert machine.plan(read_one(machine, None)).want["tree"] == "own"


def test_a_disk_is_led_to_with_its_suffix(golden):
    disk = golden.parent / "disk.raw"
    disk.write_bytes(b"")
    converged(image="disk")
    assert (golden.parent / "new.raw").readlink() == disk
    assert nspawn.COPY_DISK_LINK in Path(nspawn.drop_in_path("new")).read_text()
    disk.chmod(0o444)
    converged(image="disk")
    assert not (golden.parent / "new.raw").is_symlink()
    converged(state="absent")
    assert disk.exists()
    assert not (golden.parent / "new.raw").exists()


MOUNTED = (
    "41 29 0:50 / /run/systemd/nspawn/unix-export/{name} rw,nosuid - tmpfs tmpfs rw\n29 1 0:25 / / rw - ext4 x rw\n"
)


@pytest.mark.parametrize(
    ("name", "registered", "down"), [("build", False, True), ("build", True, False), ("other", False, False)]
)
def test_only_what_a_dead_machine_of_that_name_left_is_taken_down(monkeypatch, tmp_path, name, registered, down):
    monkeypatch.setattr(mounts, "table", lambda: mounts.Table(mounts.parse(MOUNTED.format(name=name))))
    monkeypatch.setattr(nspawn, "REGISTERED", str(tmp_path))
    if registered:
        (tmp_path / "build").write_text("")
    taken = []
    monkeypatch.setattr(mounts, "unmount", taken.append)
    assert nspawn.clear_exports("build") is down
    assert taken == (["/run/systemd/nspawn/unix-export/build"] if down else [])


# A network namespace of somebody else's.


def test_a_network_namespace_is_the_units_and_no_other_network_goes_with_it(host, monkeypatch):
    monkeypatch.setattr(systemd, "reload", lambda: None)
    state = known(host["theirs"], netns_there=False)
    machine = NspawnContainer({"name": "theirs", "state": "stopped", "network_namespace": "blue"})
    assert ("netns", "blue") in machine.needs()
    made = machine.plan(state)
    assert (made.want["network_namespace"], made.want["network_veth"]) == ("/run/netns/blue", False)
    machine.create(None, made)
    drop_in = UnitFile(Path(nspawn.drop_in_path("theirs")).read_text())
    keys = ("NetworkNamespacePath", "PrivateMounts")
    assert [drop_in.last("Service", key) for key in keys] == ["/run/netns/blue", "no"]
    with pytest.raises(StrataError, match=r"no such network namespace .*strata\.virt\.netns"):
        NspawnContainer({"name": "theirs", "network_namespace": "blue"}).plan(state)
    inside = replace(state, config={**state.config, "network_namespace": "/run/netns/blue", "network_veth": False})
    machine = NspawnContainer({"name": "theirs", "state": "stopped", "network_namespace": ""})
    made = machine.plan(inside)
    assert made.want["network_veth"] is True
    machine.configure(None, made)
    drop_in = UnitFile(Path(nspawn.drop_in_path("theirs")).read_text())
    assert [drop_in.last("Service", key) for key in keys] == [None, None]
    for option, value in (("network_bridge", "br0"), ("network_veth", True), ("ports", ["80"])):
        with pytest.raises(StrataError, match=f"{option}: can't be had beside network_namespace"):
            NspawnContainer({"name": "a", "network_namespace": "blue", option: value})
    NspawnContainer({"name": "a", "network_namespace": "blue", "hardening": "restricted"})
    with pytest.raises(StrataError, match="belongs to the host"):
        NspawnContainer({"name": "a", "network_namespace": "/proc/1/ns/net", "hardening": "baseline"})


# Profiles.


def wants(state, **options):
    return NspawnContainer({"name": "theirs", "state": "stopped", **options}).plan(known(state)).want


def test_restricted_is_everything_that_can_be_said(host):
    want = wants(host["theirs"], hardening="restricted", memory="64M", tmpfs=["/var/cache"])
    assert (want["private_users"], want["no_new_privileges"], want["read_only"]) == ("pick", True, True)
    assert (want["cap_drop"], want["capabilities"], want["ambient_capabilities"]) == (("ALL",), (), ())
    assert (want["memory"], want["cpus"], want["pids_limit"]) == (64 * MIB, 100_000, 256)
    assert want["tmpfs"] == ("/tmp:mode=1777,noexec,nosuid,nodev,size=64m", "/var/cache")
    assert [row["source"] for row in want["binds"]] == ["/mnt", "/srv"]
    assert (want["overlays"], want["system_call_filter"]) == ((), ())


def test_named_capabilities_are_all_that_is_left(host):
    want = wants(host["theirs"], hardening="restricted", capabilities=["SETUID", "SETGID"])
    assert want["capabilities"] == ("SETGID", "SETUID")
    assert {"SETUID", "SETGID", "ALL"}.isdisjoint(want["cap_drop"])
    assert {"SYS_ADMIN", "NET_ADMIN", "BPF"} <= set(want["cap_drop"])


def test_baseline_says_nothing_of_what_a_system_needs(host):
    want = wants(host["theirs"], hardening="baseline")
    assert {"read_only", "cap_drop", "private_users", "memory", "no_new_privileges"}.isdisjoint(want)
    assert wants(host["theirs"], hardening="privileged") == {}


def test_what_leads_out_is_drift(host):
    odd = {
        "settings": {"Service.Environment": ("A=1", "SYSTEMD_SECCOMP=0"), "Service.Restart": "always"},
        "binds": ({"source": "/dev/kvm"}, {"source": "/run"}, {"source": "/srv/data", "read_only": True}),
        "system_call_filter": ("@keyring", "~ptrace"),
        "network_veth": False,
    }
    state = replace(host["theirs"], config={**host["theirs"].config, **odd})
    made = NspawnContainer({"name": "theirs", "state": "stopped", "hardening": "baseline"}).plan(known(state))
    assert sorted(change.name for change in made.changes) == [
        "binds[/dev/kvm]",
        "binds[/run]",
        "network_veth",
        "settings[Service.Environment]",
        "system_call_filter",
    ]
    excepted = ["binds", "settings", "system_call_filter", "network_veth"]
    spec = {"name": "theirs", "state": "stopped", "hardening": "baseline", "hardening_exceptions": excepted}
    assert not NspawnContainer(spec).plan(known(state))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Environment=A=1 SYSTEMD_SECCOMP=0", "confines less (/etc/70-theirs.conf)"),
        ("DeviceAllow=/dev/kvm rw", "Service.DeviceAllow lets devices be opened"),
        ("DevicePolicy=auto", "Service.DevicePolicy is set"),
    ],
)
def test_what_others_opened_is_refused_and_told_by_its_file(host, said, words):
    file = UnitFile(f"[Service]\n{said}\nTasksMax=9\n")
    settings = {f"{section}.{key}": file.all(section, key) for section, key in file.assigned()}
    opened = nspawn_hardening.opened("/etc/70-theirs.conf", settings)
    state = replace(host["theirs"], facts={**host["theirs"].facts, "opened": opened})
    with pytest.raises(StrataError) as refused:
        wants(state, hardening="baseline")
    assert words in str(refused.value)
    assert wants(state) == {}
    wants(state, hardening="baseline", hardening_exceptions=["settings"])


def test_a_profile_that_is_no_longer_declared_goes_back(host):
    state = replace(host["theirs"], config={**host["theirs"].config, "cap_drop": ("ALL",), "no_new_privileges": True})
    wanted = NspawnContainer({"name": "theirs", "state": "stopped"}, applied={"hardening": "restricted"})
    want = wanted.plan(known(state)).want
    assert (want["cap_drop"], want["no_new_privileges"], want["memory"]) == ((), False, "max")


@pytest.mark.parametrize(
    ("profile", "more", "words"),
    [
        ("baseline", {"binds": [{"source": "/run/docker.sock"}]}, "anything can be started"),
        ("baseline", {"binds": [{"source": "/proc/sys"}]}, "reaches the kernel"),
        ("baseline", {"binds": [{"source": "/dev/kvm"}]}, "reaches hardware"),
        ("baseline", {"overlays": [{"path": "/x", "lower": ["/srv"], "upper": "/sys"}]}, "reaches the kernel"),
        ("baseline", {"network_veth": False}, "belongs to the host"),
        ("baseline", {"settings": {"Network": {"Private": False}}}, "belongs to the host"),
        ("baseline", {"settings": {"Service": {"Environment": "SYSTEMD_SECCOMP=0"}}}, "confines less"),
        ("baseline", {"settings": {"Service": {"ExecStart": "/bin/x"}}}, "in another way"),
        ("baseline", {"settings": {"Service": {"DevicePolicy": "auto"}}}, "reaches hardware"),
        ("baseline", {"system_call_filter": ["bpf"]}, "lets bpf through"),
        ("restricted", {"private_users": "no"}, "root of the host"),
        ("restricted", {"private_users": "identity"}, "root of the host"),
        ("restricted", {"private_users": "0:65536"}, "root of the host"),
        ("restricted", {"cap_drop": ["SYS_TIME"]}, "name them in capabilities"),
        ("restricted", {"no_new_privileges": False}, "gain rights"),
        ("restricted", {"read_only": False}, "change itself"),
        ("restricted", {"memory": "max"}, "all of the host's memory"),
        ("restricted", {"hardening_exceptions": ["nosuch"]}, "no profile speaks of nosuch"),
    ],
)
def test_what_breaks_a_profile_is_refused(profile, more, words):
    with pytest.raises(StrataError) as refused:
        NspawnContainer({"name": "a", "hardening": profile, **more})
    assert words in str(refused.value)
    if "hardening_exceptions" not in more:
        NspawnContainer({"name": "a", "hardening": profile, "hardening_exceptions": list(more), **more})


def test_capabilities_lead_out_where_there_is_no_user_namespace():
    NspawnContainer({"name": "a", "hardening": "baseline", "capabilities": ["SYS_TIME"]})
    with pytest.raises(StrataError, match="SYS_TIME gives rights that lead to the host"):
        NspawnContainer({"name": "a", "hardening": "baseline", "capabilities": ["SYS_TIME"], "private_users": "no"})


# Files in systemd's syntax.

TEXT = """\
# theirs
[Exec]
Boot=no
  Environment = A=1
; between
Environment=B=2
Parameters=/bin/sh -c \\
# not part of it
   true

[X-Theirs]
Key
"""


def test_a_file_that_nobody_changes_stays_as_it_is():
    assert UnitFile(TEXT).text == TEXT
    assert nspawn_settings.patch(TEXT, {"boot": False, "env": ("A=1", "B=2")}) == TEXT


def test_continued_lines_and_repeated_keys_are_read():
    file = UnitFile(TEXT)
    assert file.all("Exec", "Environment") == ["A=1", "B=2"]
    assert file.last("Exec", "Parameters") == "/bin/sh -c true"
    assert file.last("Exec", "Hostname") is None


def test_a_key_changes_in_its_place_and_a_new_one_comes_at_its_sections_end():
    text = nspawn_settings.patch(TEXT, {"boot": True, "private_users": "no", "env": ("C=3",)})
    expected = TEXT.replace("Boot=no\n", "").replace("  Environment = A=1\n", "Environment=C=3\n")
    expected = expected.replace("Environment=B=2\n", "").replace("   true\n", "   true\nPrivateUsers=no\n")
    assert text == expected


def test_sections_are_made_at_the_end():
    assert (
        nspawn_settings.patch("[Exec]\nBoot=no", {"network_bridge": "br0"})
        == "[Exec]\nBoot=no\n\n[Network]\nBridge=br0\n"
    )


def test_what_switches_the_interface_off_is_known():
    read = nspawn_settings.read_settings
    assert read("")["network_veth"] is True
    assert read("[Network]\nPrivate=yes\n")["network_veth"] is False
    assert read("[Network]\nBridge=br0\n")["network_veth"] is True
    assert "VirtualEthernet=yes" in nspawn_settings.patch("[Network]\nPrivate=yes\n", {"network_veth": True})


@pytest.mark.parametrize(
    ("given", "text"), [("1.5", "150%"), ("0.12345", "12.34%"), ("max", ""), ("123.4567", "12345.67%"), ("0.01", "1%")]
)
def test_cpus_survive_the_way_through_systemds_words(given, text):
    quota = unitlimits.exact_cpus(given)
    assert unitlimits.CPUS.write(quota) == text
    assert unitlimits.CPUS.parse(text) == quota


@pytest.mark.parametrize(
    ("text", "quota"), [("1.500000s", 150_000), ("200ms", 20_000), ("1min 30s", 9_000_000), ("infinity", "max")]
)
def test_what_systemd_tells_of_cpus(text, quota):
    assert unitlimits.CPUS.parse_prop(text) == quota


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "a_b"}, "name: is no valid name of a machine"),
        ({"name": "a" * 65}, "name: is no valid name"),
        ({"settings": {"Exec": {"Boot": True}}, "boot": False}, "boot: is given here and in settings"),
        ({"settings": {"Exec": {"Boot": "perhaps"}}}, "boot: is neither true nor false"),
        ({"settings": {"Service": {"MemoryMax": "1G"}}}, "Service.MemoryMax, which is the option memory"),
        ({"hostname": "a\\"}, "hostname: must not end with a backslash"),
        ({"binds": [{"source": "srv"}]}, "binds.source: must be an absolute path"),
        ({"binds": [{"source": "/a", "path": "/b"}, {"source": "/c", "path": "/b"}]}, "binds: names /b twice"),
        ({"ports": ["http"]}, "ports: is no port"),
        ({"ports": ["tcp:70000"]}, "ports: is no port"),
        ({"network_zone": "a/b"}, "network_zone: is no name of a zone"),
        ({"network_zone": "lan", "network_veth": False}, "network_veth: can't be off"),
        ({"network_zone": "lan", "network_bridge": "br0"}, "network_zone: can't be had beside"),
        ({"network_macvlan": ["a:b:c"]}, "network_macvlan: is no interface"),
        ({"capabilities": ["net admin"]}, "capabilities: is no capability"),
        ({"system_call_filter": ["a b"]}, "system_call_filter: is no system call"),
        ({"resolv_conf": "mine"}, "resolv_conf: must be one of"),
        ({"user": "web", "boot": True}, "user: is for a command"),
        ({"settings": {"Exec": "Boot"}}, "settings: are sections"),
        ({"settings": {"Exec]": {"A": 1}}}, "no section and key"),
        ({"settings": {"Exec": {"Hostname": "a\nb"}}}, "single line"),
        ({"settings": {"Exec": {"Hostname": "a\\"}}}, "backslash"),
        ({"image": "a/b"}, "image: must be an absolute path"),
        ({"network_bridge": "br0", "network_veth": False}, "network_veth: can't be off"),
        ({"private_users": "some"}, "private_users: must be pick"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(StrataError) as refused:
        NspawnContainer({"name": "build", **options})
    assert words in str(refused.value)


def test_booleans_of_private_users_are_what_yaml_makes_of_yes_and_no():
    spec = NspawnContainer({"name": "a", "private_users": "False", "boot": True, "image": "trixie"}).spec
    assert (spec["private_users"], spec["image"]) == ("no", "/var/lib/machines/trixie")
