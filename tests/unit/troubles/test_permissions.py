# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what, told from modes, lists, mounts, maps of IDs and audit records."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.troubles import denials, walk
from ansible_collections.strata.virt.plugins.module_utils.troubles.permissions_checks import TOPIC

JOURNAL = "journalctl --quiet --no-pager --output=cat --since=@1763996400 _TRANSPORT=kernel"
FILE = "/srv/data/file"
GROUP = "/machine.slice/build.service/payload"
MOUNTS = "30 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
STATUS = "Name:\tsleep\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nCapBnd:\t{caps}\nNoNewPrivs:\t{new}\nSeccomp:\t2\n"

# Audit records in the forms of the kernel and of auditd; the last is of another hour.
APPARMOR = (
    'audit: type=1400 audit(1763999000.123:41): apparmor="DENIED" operation="open" class="file" '
    'profile="docker-default" name="/proc/kcore" pid=4711 comm="cat" requested_mask="r" denied_mask="r" fsuid=0 ouid=0'
)
SELINUX = (
    'type=AVC msg=audit(1763999100.500:42): avc:  denied  { read write } for  pid=4712 comm="nginx" name="index.html" '
    'dev="sda1" ino=131 scontext=system_u:system_r:container_t:s0:c1,c2 tcontext=unconfined_u:object_r:user_home_t:s0 '
    "tclass=file permissive=0"
)
SECCOMP = (
    "audit: type=1326 audit(1763999200.000:43): auid=4294967295 uid=0 gid=0 ses=4294967295 subj=unconfined pid=4713 "
    'comm="mount" exe="/usr/bin/mount" sig=31 arch=c000003e syscall=165 compat=0 ip=0x7f0000000000 code=0x80000000'
)
OLD = APPARMOR.replace("1763999000", "1763990000").replace("kcore", "kmem")


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.fixture
def sound(host):
    """A host on which everybody may, a workload with a map of IDs, and nothing in the log."""
    host.write(FILE, "x")
    host.owners = {FILE: (0o666, 100_000, 100_000), "/srv/data": (0o755, 100_000, 100_000)}
    host.write("/proc/self/mountinfo", MOUNTS)
    host.write("/proc/self/ns/user")
    host.write("/proc/sys/user/max_user_namespaces", "15000\n")
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n")
    for name in ("subuid", "subgid"):
        host.write(f"/etc/{name}", "root:1000000:65536\nann:100000:65536\n")
    host.write("/proc/4711/status", STATUS.format(uid=100_000, caps="00000000a80425fb", new=0))
    for name in ("uid_map", "gid_map"):
        host.write(f"/proc/4711/{name}", "         0     100000      65536\n")
    host.write("/proc/4711/comm", "systemd\n")
    host.write("/proc/4711/cgroup", f"0::{GROUP}/init.scope\n")
    host.write(f"/sys/fs/cgroup{GROUP}/cgroup.procs")
    host.owners[f"/sys/fs/cgroup{GROUP}"] = (0o755, 100_000, 100_000)
    host.sayings[JOURNAL] = "e1000: eth0 NIC Link is Up\n"
    return host


def written(path: str, content: str):
    return lambda host: host.write(path, content)


def owned(path: str, mode: int, uid: int = 0, gid: int = 0):
    return lambda host: host.owners.__setitem__(path, (mode, uid, gid))


def logged(text: str):
    return lambda host: host.sayings.__setitem__(JOURNAL, text)


def delegated_in_part(host) -> None:
    top = "/sys/fs/cgroup"
    host.write("/proc/self/mountinfo", MOUNTS + f"31 30 0:26 / {top} rw,nosuid,nodev,noexec - cgroup2 cgroup2 rw\n")
    host.write(f"{top}/cgroup.controllers", "cpuset cpu io memory pids\n")
    host.write(f"{top}/cgroup.subtree_control", "cpuset cpu io memory pids\n")
    host.write(f"{top}/user.slice/user-1000.slice/user@1000.service/cgroup.controllers", "memory pids\n")


def shut_door(host) -> None:
    host.write("/run/docker.sock")
    host.owners["/run/docker.sock"] = (0o660, 0, 54_321)


def bare(host) -> None:
    host.write("/proc/4711/status", STATUS.format(uid=100_000, caps="0000000000000400", new=0))


ALL = {"path": FILE, "user": "4242", "workload": "4711"}  # 4242 of the workload is 104242 of the host

FAULTS = [
    ("the path is there", lambda host: host.remove(FILE), ALL, f"{FILE} is not there"),
    ("the path is there", lambda host: host.write(FILE, Path("file")), ALL, f"{FILE} is not there"),
    ("folders let the user pass", owned("/srv", 0o750), ALL, "may not pass /srv"),
    ("folders let others pass", owned("/srv", 0o700), {"path": FILE}, "Only root, root may pass /srv"),
    ("the user may read it", owned(FILE, 0o662, 100_000, 100_000), ALL, f"may not read {FILE}"),
    ("the user may write it", owned(FILE, 0o664, 100_000, 100_000), ALL, f"may not write {FILE}"),
    (
        "the mount forbids nothing",
        written("/proc/self/mountinfo", MOUNTS + "31 30 0:9 / /srv rw,noexec - tmpfs none rw\n"),
        ALL,
        "/srv, which holds the path, is mounted noexec",
    ),
    ("owners have an ID in the workload", owned(FILE, 0o666, 1000, 1000), ALL, "1 of 1 files there belong to nobody"),
    ("users have subordinate IDs", written("/etc/subuid", "root:1000000:65536\n"), {}, "ann has no range"),
    (
        "ranges of subordinate IDs are apart",
        written("/etc/subgid", "root:1000000:65536\nann:1000000:65536\n"),
        {},
        "subgid of ann and root",
    ),
    (
        "plain users may make user namespaces",
        written("/proc/sys/kernel/unprivileged_userns_clone", "0\n"),
        {},
        "kernel.unprivileged_userns_clone is 0",
    ),
    ("cgroups are delegated", delegated_in_part, {}, "delegation to user 1000: systemd doesn't pass on cpu"),
    ("the workload's systemd has its cgroup", owned(f"/sys/fs/cgroup{GROUP}", 0o755), ALL, "systemd of process 4711"),
    ("the user may speak to engines", shut_door, {"user": "4242"}, "4242 may not open /run/docker.sock"),
    (
        "AppArmor refused nothing",
        logged(APPARMOR),
        {},
        "docker-default refused cat open of /proc/kcore (1 in the last hour)",
    ),
    (
        "SELinux refused nothing",
        written(denials.AUDIT_LOG, SELINUX),
        {},
        "nginx to read write index.html (1 in the last hour)",
    ),
    (
        "seccomp refused nothing",
        logged(SECCOMP),
        {},
        "caught mount at the call number 165 (1 in the last hour); it was killed",
    ),
    (
        "set-user-ID programs work in the workload",
        written("/proc/4711/status", STATUS.format(uid=0, caps="000001ffffffffff", new=1)),
        ALL,
        "In process 4711, no program gains rights",
    ),
    ("the workload has the usual capabilities", bare, ALL, "CHOWN, DAC_OVERRIDE"),
]


@pytest.mark.parametrize("options", [ALL, {"path": FILE}, {"user": "4242"}, {}])
def test_nothing_is_wrong(sound, told, options):
    assert told(TOPIC, sound, **options)["findings"] == []


@pytest.mark.parametrize(("name", "break_it", "options", "what"), FAULTS)
def test_a_fault_is_found_and_nothing_else(sound, told, name, break_it, options, what):
    break_it(sound)
    found = told(TOPIC, sound, **options)["by_name"]
    assert set(found) == {name}
    assert what in found[name][0]["what"]


def test_every_check_is_tested():
    assert {name for name, *_others in FAULTS} == {check.name for check in TOPIC.checks}


def test_without_options_only_the_host_is_looked_at(sound, told):
    reasons = set(told(TOPIC, sound)["unchecked"].values())
    assert reasons == {"no path was named", "no user was named", "no workload was named"}


def test_a_group_that_can_not_be_seen_passes_nothing(sound, told):
    sound.write("/proc/4711/cgroup", "1:name=systemd:/\n")
    assert "none of cgroup v2" in told(TOPIC, sound, **ALL)["unchecked"]["the workload's systemd has its cgroup"]


def test_without_a_log_nothing_was_refused_is_not_said(sound, told):
    del sound.sayings[JOURNAL]
    assert "neither journalctl nor dmesg" in told(TOPIC, sound)["unchecked"]["seccomp refused nothing"]
    assert "use become" in told(TOPIC, sound, root=False)["unchecked"]["seccomp refused nothing"]


def test_the_remedy_names_the_user_by_its_number_on_the_host(sound, told):
    owned("/srv", 0o750)(sound)
    (finding,) = told(TOPIC, sound, **ALL)["by_name"]["folders let the user pass"]
    assert "setfacl -m u:104242:x /srv" in finding["remedy"]
    assert "user 4242 of process 4711 (104242 on the host)" in finding["what"]


def test_a_user_without_an_id_on_the_host(sound, told):
    with pytest.raises(StrataError, match="has no such user"):
        told(TOPIC, sound, workload="4711", user="70000")


def test_a_user_that_there_is_not(sound, told):
    with pytest.raises(StrataError, match="no such user on this host"):
        told(TOPIC, sound, user="nobody-of-this-name")


# The way to a path.


def test_links_are_followed_where_they_lead(host):
    host.write("/srv/real/file", "x")
    host.write("/srv/short", Path("real"))
    host.write("/abs", Path("/srv/short/../short/file"))
    steps = walk.steps(host, "/abs")
    assert [(step["path"], step["kind"]) for step in steps] == [
        ("/", "folder"),
        ("/abs", "link"),
        ("/srv", "folder"),
        ("/srv/short", "link"),
        ("/srv/real", "folder"),
        ("/srv/short", "link"),
        ("/srv/real", "folder"),
        ("/srv/real/file", "file"),
    ]


def test_links_in_a_circle_end(host):
    host.write("/one", Path("two"))
    host.write("/two", Path("one"))
    assert walk.steps(host, "/one")[-1]["kind"] == "link"


OWNER, OTHER, ROOT = ({"uid": uid, "groups": groups} for uid, groups in ((7, [7]), (8, [8, 9]), (0, [0])))


@pytest.mark.parametrize(
    ("mode", "entries", "who", "rights"),
    [
        ("0700", (), OWNER, 7),
        ("0077", (), OWNER, 0),  # the owner's bits count, and no others
        ("0750", (), OTHER, 5),
        ("0705", (), OTHER, 0),
        ("0000", (), ROOT, 7),
        ("0770", ((0x02, 5, 8), (0x10, 4, 0)), OTHER, 4),  # a user's entry, and the mask
        ("0774", ((0x04, 0, 0), (0x08, 6, 8), (0x10, 7, 0)), OTHER, 6),  # a group's entry
        ("0771", ((0x04, 6, 0), (0x10, 3, 0)), OTHER, 2),  # the owning group's, masked
        ("0771", ((0x02, 7, 5), (0x10, 7, 0)), {"uid": 6, "groups": [6]}, 1),  # nobody named: others
    ],
)
def test_rights(mode, entries, who, rights):
    step = {"mode": mode, "uid": 7, "gid": 9, "acl": walk.parse_acl(acl(*entries))}
    assert walk.rights(step, who) == rights


# Refusals.


def test_records_count_once_each_and_only_late_ones(host):
    host.sayings[JOURNAL] = "\n".join([APPARMOR, OLD, APPARMOR.replace(":41)", ":44)")])
    host.write(denials.AUDIT_LOG, f"{APPARMOR}\n")
    (row,) = denials.read(host, 1763996400)["apparmor"]
    assert row["count"] == 2
    assert row["rule"] == "/proc/kcore r,"


def test_calls_are_named_where_that_can_be_asked(host):
    host.sayings["scmp_sys_resolver -a x86_64 165"] = "mount\n"
    assert denials.sorted_out([SECCOMP], host)["seccomp"][0]["call"] == "mount"


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ({"operation": "capable", "capname": "sys_admin"}, "capability sys_admin,"),
        ({"operation": "userns_create"}, "userns,"),
        ({"operation": "mknod", "name": "/dev/x", "denied_mask": "c"}, "/dev/x w,"),
        ({"operation": "create", "family": "inet", "sock_type": "raw"}, "network inet raw,"),
        ({"operation": "mount", "name": "/mnt"}, "mount, narrowed by what the record says"),
    ],
)
def test_rules_that_would_allow_it(words, rule):
    assert denials.rule(words) == rule
