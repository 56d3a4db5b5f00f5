# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""namespace, looked at through mountinfo, and by programs that nsenter(1) puts into the set."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import UTILS, Failed, call, run

unshare = importlib.import_module(f"{UTILS}.engines.unshare")

FOLDER = Path("/run/strata/namespaces")
UNITS = Path("/etc/systemd/system")
PROGRAM = Path("/usr/local/lib/strata/namespaces.py")
HOSTNAME = os.uname().nodename
OPTIONS = {"mnt": "mount"}  # of nsenter(1), where it has another word
MAP = [{"inside": 0, "outside": 100000, "count": 65536}]
LOOK = """
read hostname </proc/sys/kernel/hostname
read inside outside count </proc/self/uid_map
read first </proc/1/comm
offsets=$(while read clock seconds rest; do echo $clock=$seconds; done </proc/self/timens_offsets)
echo $hostname $inside:$outside:$count $first $offsets
ip -json link show lo
"""


def unit(name: str) -> str:
    return f"strata-namespace-{name}.service"


def pins(name: str) -> dict[str, str]:
    """The namespaces that are pinned, by kind, as the table of mounts tells them."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        root, point, *_rest = line.split(" ")[3:]
        if point.startswith(f"{FOLDER}/{name}/") and " - nsfs " in line:
            found[point.rpartition("/")[2]] = root
    return found


def enter(name: str, *argv: str, kinds: list[str] | None = None) -> list[str]:
    there = pins(name) if kinds is None else kinds
    return ["nsenter", *(f"--{OPTIONS.get(kind, kind)}={FOLDER}/{name}/{kind}" for kind in there), *argv]


def into(kind: str, *argv: str):
    return lambda name: run(*enter(name, *argv, kinds=[kind]))


def look(name: str) -> dict | None:
    there = pins(name)
    wanted = os.path.lexists(UNITS / "multi-user.target.wants" / unit(name))
    if not (FOLDER / name).exists() and not wanted:
        return None
    said = subprocess.run(enter(name, "sh", "-c", LOOK), capture_output=True, text=True, check=False).stdout
    words, _newline, links = said.partition("\n")
    hostname, uids, first, *offsets = words.split() or [None, None, None]
    return {
        "kinds": sorted(there),
        "hostname": hostname,
        "uids": uids,
        "first": first,
        "offsets": offsets,
        "loopback": "UP" in json.loads(links)[0]["flags"] if links else None,
        "boot": wanted,
    }


def removed(name: str) -> None:
    for kind in pins(name):
        run("umount", FOLDER / name / kind)
    run("umount", FOLDER / name / "mnt", check=False)
    shutil.rmtree(FOLDER / name)


def begun(name: str) -> None:
    """What is left of a run that was killed half-way."""
    removed(name)
    (FOLDER / name).mkdir()
    (FOLDER / name / "note").write_text("words.kinds=net\nowner=test-namespace\n")
    (FOLDER / name / "net").touch()
    run("mount", "--bind", "/proc/self/ns/net", FOLDER / name / "net")


def net(name: str) -> str:
    return pins(name)["net"]


class TestSet(Convergence):
    """A set in which nothing has to live."""

    case = Case(
        kind="namespace",
        info="namespace_info",
        name="strata-set",
        a={
            "kinds": ["net", "uts", "ipc", "user", "mnt", "time"],
            "hostname": "isolated",
            "uid_map": MAP,
            "gid_map": MAP,
            "time_offsets": {"boottime": 86400},
        },
        b={
            "kinds": ["uts", "time", "mnt", "user", "ipc", "net"],
            "uid_map": MAP,
            "gid_map": MAP,
            "time_offsets": {"boottime": 86400},
            "loopback": False,
        },
        look=look,
        seen_a={
            "kinds": ["ipc", "mnt", "net", "time", "user", "uts"],
            "hostname": "isolated",
            "uids": "0:100000:65536",
            "offsets": ["monotonic=0", "boottime=86400"],
            "loopback": True,
            "boot": False,
        },
        seen_b={"kinds": ["ipc", "mnt", "net", "time", "user", "uts"], "loopback": False},
        drifts={
            "removed": removed,
            "begun": begun,
            "one is not pinned": lambda name: run("umount", FOLDER / name / "ipc"),
            "another one is pinned": lambda name: run("mount", "--bind", "/proc/self/ns/ipc", FOLDER / name / "ipc"),
            "no note": lambda name: (FOLDER / name / "note").unlink(),
            "another name": into("uts", "hostname", "other"),
            "no loopback": into("net", "ip", "link", "set", "lo", "down"),
        },
        touches=("engines.pinned.make", "engines.pinned.set_hostname", "engines.pinned.set_loopback"),
        same_process=net,
        bad=(
            ("kinds", ["net", "disk"]),
            ("kinds", []),
            ("hostname", "x" * 65),
            ("uid_map", [*MAP, {"inside": 65535, "outside": 200000, "count": 1}]),
            ("gid_map", [*MAP, {"inside": 65536, "outside": 100001, "count": 1}]),
            ("uid_map", [{"inside": 0, "outside": 4294967295, "count": 1}]),
            ("time_offsets", {"monotonic": "soon"}),
            ("nonsense", "1"),
        ),
    )

    def test_bad_input_is_refused(self):
        with pytest.raises(Failed, match="'0 100000 65536' and '65535 200000 1' overlap inside"):
            self.apply({**self.case.a, "uid_map": [*MAP, {"inside": 65535, "outside": 200000, "count": 1}]})
        super().test_bad_input_is_refused()
        with pytest.raises(Failed, match="hostname: belongs to a set with a namespace of kind uts"):
            self.apply({**self.case.a, "kinds": ["net", "user", "time"]})
        with pytest.raises(Failed, match="kinds: is required"):
            self.apply({"hostname": "isolated"})
        assert look(self.case.name) is None

    def test_what_only_a_new_set_can_have(self):
        name = self.case.name
        self.apply(self.case.a)
        before = net(name)
        kept = self.apply({"kinds": ["net", "uts"], "uid_map": [], "recreate": "never"})
        assert (set(kept["restart_required"]), net(name)) == ({"kinds", "uid_map[0]"}, before)
        done = self.foretold({"kinds": ["net", "uts"], "uid_map": [], "gid_map": []})
        assert {one["effect"] for one in done["changes"]} == {"recreate"}
        assert (look(name)["kinds"], look(name)["hostname"]) == (["net", "uts"], "isolated")
        assert net(name) != before
        with pytest.raises(Failed, match="timens_offsets"):
            self.apply({"kinds": ["time"], "time_offsets": {"boottime": -(10**9)}})
        assert look(name)["kinds"] == ["net", "uts"], "there is no way back"

    def test_a_set_in_use_is_left_alone(self):
        name = self.case.name
        self.apply(self.case.a)
        process = subprocess.Popen(enter(name, "sleep", "60", kinds=["net"]))
        try:
            time.sleep(0.5)
            (told,) = call("namespace_info", {"name": [name]})["resources"]
            assert told["facts"]["users"] == [f"{process.pid} (sleep)"]
            for spec in ({"state": "absent"}, {"kinds": ["net"], "uid_map": [], "gid_map": []}):
                with pytest.raises(Failed, match=rf"in use by {process.pid} \(sleep\)"):
                    self.apply(spec)
            assert process.poll() is None
            self.sees(self.case.seen_a)
            self.foretold(self.case.b)  # what is live is nobody's disturbance
        finally:
            process.kill()
            process.wait()

    def test_mounts_and_pins_are_seen_where_they_should_be(self):
        """What the host unmounts goes in the set, too: neither disks nor other sets' namespaces are kept by it."""
        name, other = self.names(2)
        self.apply({"kinds": ["net"]}, other)
        self.apply({"kinds": ["mnt"]}, name)
        inside = enter(name, "cat", "/proc/self/mountinfo")
        assert f"{FOLDER}/{other}/net" in run(*inside)
        self.apply({"state": "absent"}, other)
        assert f"{FOLDER}/{other}/net" not in run(*inside)
        run(*enter(name, "mount", "-t", "tmpfs", "none", "/mnt"))
        assert " /mnt " not in Path("/proc/self/mountinfo").read_text()
        assert " /mnt " in run(*inside)

    def test_many_in_one_stack(self):
        names, spec = self.names(8), {"kinds": ["net", "uts"], "hostname": "isolated"}
        self.together(spec, names)
        assert len({net(name) for name in names}) == 8
        again = self.together(spec, names[::-1])
        assert [one for one in again["resources"] if one["changed"]] == []


def holder(name: str) -> int:
    return int((FOLDER / name / "note").read_text().partition("\nholder=")[2])


def killed(name: str) -> None:
    """The first process goes, and systemd takes away what is of no use without it."""
    os.kill(holder(name), signal.SIGKILL)
    end = time.monotonic() + 30
    while (FOLDER / name).exists():
        assert time.monotonic() < end, "systemd doesn't notice"
        time.sleep(0.2)


def edited(name: str) -> None:
    file = UNITS / unit(name)
    file.write_text(file.read_text().replace("hostname=isolated", "hostname=edited"))


class TestHeld(Convergence):
    """A set that a unit holds, since a pid namespace is gone with its first process."""

    case = Case(
        kind="namespace",
        info="namespace_info",
        name="strata-held",
        a={"kinds": ["net", "uts", "ipc", "mnt", "pid"], "hostname": "isolated", "persistent": True},
        b={
            "kinds": ["net", "uts", "ipc", "mnt", "pid"],
            "hostname": "other",
            "loopback": False,
            "persistent": False,
        },
        look=look,
        seen_a={
            "kinds": ["ipc", "mnt", "net", "pid", "uts"],
            "hostname": "isolated",
            "first": "sleep",
            "loopback": True,
            "boot": True,
        },
        seen_b={
            "kinds": ["ipc", "mnt", "net", "pid", "uts"],
            "hostname": "other",
            "first": "sleep",
            "loopback": False,
            "boot": False,
        },
        drifts={
            "its first process was killed": killed,
            "stopped": lambda name: run("systemctl", "stop", unit(name)),
            "another name at boot": edited,
            "not at boot": lambda name: (UNITS / "multi-user.target.wants" / unit(name)).unlink(),
        },
        touches=("core.files.write", "core.files.remove", "engines.bootunit.restart", "engines.pinned.set_hostname"),
        same_process=holder,
        bad=(("kinds", ["pid", "all"]), ("hostname", "a b")),
    )

    @pytest.fixture(autouse=True)
    def _program(self):
        """As if there were a unit already: whoever is the first one writes the program, too."""
        PROGRAM.parent.mkdir(parents=True, exist_ok=True)
        PROGRAM.write_text(Path(unshare.__file__).read_text())

    def test_it_is_made_again_at_boot(self):
        """Each of a held set, and one in which nothing has to live: what systemd starts is what was declared."""
        name, other = self.names(2)
        spec = {
            **TestSet.case.a,
            "kinds": [*TestSet.case.a["kinds"], "cgroup"],
            "uid_map": [*MAP, {"inside": 65536, "outside": 5, "count": 1}],
        }
        light = {"kinds": ["net", "uts"], "hostname": "light", "persistent": True}
        self.apply({**spec, "persistent": True}, name)
        self.apply(light, other)
        for one in (name, other):
            run("systemctl", "stop", unit(one))
            assert pins(one) == {}
            run("systemctl", "start", unit(one))
            assert run("systemctl", "is-active", unit(one)) == "active"
        for one, wanted in ((name, {**spec, "persistent": True}), (other, light)):
            assert self.apply(wanted, one, check=True)["changes"] == []
        assert self.apply({"persistent": False}, other)["changed"]
        assert not (UNITS / unit(other)).exists()
        assert look(other)["hostname"] == "light", "what is there went with its unit"
        self.apply({"state": "absent"}, name)
        assert not (UNITS / unit(name)).exists()
        assert not PROGRAM.exists()

    def test_programs_run_in_it(self):
        name = self.case.name
        self.apply({"kinds": ["net", "uts", "ipc", "mnt", "pid"], "hostname": "isolated"})
        said = run(*enter(name, "sh", "-c", "hostname; ls -d /proc/[0-9]*; (sleep 0.1 &)"))
        assert said.split()[:2] == ["isolated", "/proc/1"]
        assert len(said.split()) <= 5, f"processes of others are seen: {said}"
        time.sleep(1)
        states = [Path(f"/proc/{pid}/stat").read_text().split()[2] for pid in within(name)]
        assert states == ["S"], "an orphan was not buried"
        assert not (UNITS / unit(name)).exists(), "the next boot would make it"
        process = subprocess.Popen(enter(name, "sleep", "60"), start_new_session=True)
        try:
            time.sleep(0.5)
            (told,) = call("namespace_info", {"name": [name]})["resources"]
            assert told["facts"]["holder"] == holder(name)
            assert told["facts"]["processes"] == 2, (
                "nsenter is in all but the pid namespace, and its child in that, too"
            )
            with pytest.raises(Failed, match=r"in use by \d+ \(nsenter\), \d+ \(sleep\)"):
                self.apply({"state": "absent"})
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def within(name: str) -> list[str]:
    """The processes of a pid namespace."""
    there = pins(name)["pid"]
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") == there:
                found.append(pid)
        except OSError:
            continue
    return found
