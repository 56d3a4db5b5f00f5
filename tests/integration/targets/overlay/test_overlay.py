# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""overlay, looked at through findmnt and what is seen in the merged directory."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import UTILS, Failed, call, run, seen_by_systemd

overlayfs = importlib.import_module(f"{UTILS}.engines.overlayfs")

TOP = Path("/srv/strata-test-overlay")
UNITS = Path("/etc/systemd/system")
LOWER = [str(TOP / "a"), str(TOP / "b")]


def unit(name: str) -> Path:
    return UNITS / run("systemd-escape", "--path", "--suffix=mount", name)


def look(name: str) -> dict | None:
    text = run("findmnt", "--json", "--list", "--output=TARGET,FSTYPE,OPTIONS", f"--mountpoint={name}", check=False)
    mounted = json.loads(text)["filesystems"] if text else []
    if not mounted and not unit(name).exists():
        return None
    words = mounted[-1]["options"].split(",") if mounted else []
    seen = dict(word.partition("=")[::2] for word in words)
    seen.pop("uuid", None)  # what it comes to depends on whether the upper layer was mounted before
    lower = seen.get("lowerdir", "").split(":")
    seen |= {"lower": [Path(layer).name for layer in lower], "mounts": len(mounted)}
    if mounted:
        seen["files"] = sorted(path.name for path in Path(name).iterdir())
    seen["unit"] = unit(name).read_text() if unit(name).exists() else None
    return seen


def own(name: str) -> dict:
    """Layers to write to can be one overlay's only."""
    return {"upper": f"{name}.upper", "work": f"{name}.work"}


def mount_by_hand(name: str, options: str) -> None:
    run("mount", "-t", "overlay", "overlay", "-o", options, name)


def writable(name: str, *words: str) -> str:
    return ",".join([f"lowerdir={TOP}/b,upperdir={name}.upper,workdir={name}.work", *words])


def other_layers(name: str) -> None:
    run("umount", name)
    mount_by_hand(name, writable(name))


def other_options(name: str) -> None:
    run("umount", name)
    mount_by_hand(name, f"{writable(name)},metacopy=off".replace(f"lowerdir={TOP}/b", f"lowerdir={':'.join(LOWER)}"))


@pytest.fixture(autouse=True, scope="module")
def layers():
    """A file system of its own, that knows all that overlayfs wants of one."""
    TOP.mkdir()
    run("mount", "-t", "tmpfs", "strata-test", str(TOP))
    try:
        for layer in ("a", "b", "c", "other", "empty"):
            (TOP / layer).mkdir()
            (TOP / layer / f"from-{layer}").write_text(layer)
        run("mount", "-t", "tmpfs", "strata-test", str(TOP / "other"))
        yield
    finally:
        for mount in reversed(json.loads(run("findmnt", "--json", "--list", "--output=TARGET"))["filesystems"]):
            if mount["target"].startswith(f"{TOP}/"):
                run("umount", mount["target"], check=False)
        run("umount", str(TOP))
        TOP.rmdir()
        if os.path.isdir("/run/strata/overlay"):
            shutil.rmtree("/run/strata/overlay")


class TestOverlay(Convergence):
    case = Case(
        kind="overlay",
        info="overlay_info",
        identity="path",
        name=str(TOP / "merged"),
        a={"lower": LOWER, "options": ["metacopy", "nosuid"], "restart": "if_needed"},
        b={"lower": [*reversed(LOWER), str(TOP / "c")], "restart": "if_needed"},
        look=look,
        own=own,
        seen_a={"lower": ["a", "b"], "mounts": 1, "metacopy": "on", "nosuid": "", "files": ["from-a", "from-b"]},
        seen_b={"lower": ["b", "a", "c"], "mounts": 1, "files": ["from-a", "from-b", "from-c"]},
        drifts={
            "unmounted": lambda name: run("umount", name),
            "other layers": other_layers,
            "other options": other_options,
            "mounted a second time": lambda name: mount_by_hand(name, f"lowerdir={':'.join(LOWER)}"),
        },
        touches=(
            "engines.mounts.mount",
            "engines.mounts.unmount",
            "engines.mounts.make_directory",
            "core.files.write",
            "core.files.remove",
        ),
        bad=(("lower", []), ("lower", ["a"]), ("options", ["fast"]), ("options", ["index=maybe"]), ("upper", "u")),
        bad_names=("", "a/b", "/srv/../x"),
    )

    @property
    def path(self) -> Path:
        return Path(self.case.name)

    def test_a_fresh_b_has_no_options(self):
        self.stack(self.case.a)
        self.stack(self.case.b)
        seen = look(self.case.name)
        assert "metacopy" not in seen
        assert "nosuid" not in seen

    def test_a_change_waits_until_it_may_interrupt(self):
        self.apply(self.case.a)
        wanted = {**self.case.b, "restart": "never"}
        done = self.foretold(wanted)
        assert (done["changed"], done["restart_required"]) == (False, ["lower"])
        self.sees(self.case.seen_a)
        assert self.foretold({**wanted, "restart": "always"})["restart_required"] == []
        self.sees(self.case.seen_b)

    def test_what_is_written_survives_and_what_was_made_goes_when_empty(self):
        self.apply(self.case.a)
        (self.path / "mine").write_text("kept")
        self.apply({"state": "unmounted"})
        assert not self.path.is_mount()
        self.unchanged({"state": "unmounted"})
        self.apply(self.case.b)
        assert (self.path / "mine").read_text() == "kept"
        self.apply({"state": "absent"})
        assert Path(f"{self.path}.upper/mine").read_text() == "kept"
        assert not self.path.exists()
        assert not Path(f"{self.path}.work").exists()
        Path(f"{self.path}.upper/mine").unlink()

    def test_without_an_upper_layer_it_is_read_only(self):
        options = {"path": self.case.name, "lower": LOWER}
        assert call("overlay", options)["changed"] is True
        assert call("overlay", options)["changed"] is False
        assert "ro" in look(self.case.name)
        with pytest.raises(OSError, match="Read-only"):
            (self.path / "x").touch()

    def test_names_that_overlayfs_reads_otherwise(self):
        odd = [str(TOP / name) for name in ("co:lon", "com,ma", "back\\slash", "a blank", "quote\"'", "end\\", "ünï=x")]
        for path in odd:
            Path(path).mkdir()
            Path(path, f"in {Path(path).name}").touch()
        spec = {"lower": odd, "upper": str(TOP / "up:,\\per"), "work": str(TOP / "wo:,\\rk")}
        assert self.apply(spec, f"{self.path} o,d:d\\")["changed"]
        assert {path.name for path in Path(f"{self.path} o,d:d\\").iterdir()} == {f"in {Path(p).name}" for p in odd}
        assert self.apply(spec, f"{self.path} o,d:d\\")["changed"] is False

    def test_volatile_can_be_mounted_again(self):
        volatile = {**self.case.a, "options": ["volatile"]}
        self.apply(volatile)
        self.unchanged(volatile)
        self.apply(self.case.b)
        self.apply({**volatile, "restart": "always"})
        self.apply({**volatile, "restart": "always"})
        assert self.apply({**self.case.a, "options": []})["changed"]

    def test_who_is_in_the_way_is_named(self):
        self.apply(self.case.a)
        process = subprocess.Popen(["sleep", "60"], cwd=self.case.name)
        opened = open(self.path / "from-a")  # noqa: SIM115 - held open until the end
        try:
            for spec in (self.case.b, {"state": "absent"}, {"state": "unmounted"}):
                for check in (True, False):
                    with pytest.raises(Failed) as failed:
                        self.apply(spec, check=check)
                    assert f"process {process.pid} (sleep)" in failed.value.result["msg"]
                    assert f"process {os.getpid()} (" in failed.value.result["msg"]
            self.sees(self.case.seen_a)
        finally:
            opened.close()
            process.kill()
            process.wait()
        (self.path / "inner").mkdir()
        run("mount", "-t", "tmpfs", "strata-test", str(self.path / "inner"))
        try:
            with pytest.raises(Failed, match=f"the tmpfs mounted at {self.path}/inner"):
                self.apply({"state": "absent"})
        finally:
            run("umount", str(self.path / "inner"))
            (self.path / "inner").rmdir()

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ({"work": str(TOP / "other" / "work")}, "work: is not on the same mounted file system"),
            ({"upper": LOWER[1]}, "upper: is the same as"),
            ({"lower": [f"{TOP}/b", f"{TOP}/merged.upper/below"]}, "one lies in the other"),
            ({"lower": [str(TOP / "nowhere")]}, "lower: is not there"),
        ],
    )
    def test_layers_that_do_not_go_together_are_refused(self, spec, words):
        Path(f"{TOP}/merged.upper/below").mkdir(parents=True)
        try:
            with pytest.raises(Failed, match=words):
                self.apply({**self.case.a, **spec})
            assert not self.path.exists()
            assert not (TOP / "other" / "work").exists()
        finally:
            shutil.rmtree(f"{TOP}/merged.upper")

    def test_an_upper_layer_serves_one_overlay(self):
        self.apply(self.case.a)
        with pytest.raises(Failed, match=f"upper: is in use by the overlay at {self.path}"):
            self.apply({**self.case.a, **own(self.case.name)}, f"{self.case.name}2")

    def test_what_else_is_mounted_there_stays(self):
        self.path.mkdir()
        run("mount", "-t", "tmpfs", "strata-test", self.case.name)
        try:
            with pytest.raises(Failed, match="something else is mounted there: tmpfs from strata-test"):
                self.apply(self.case.a)
            self.unchanged({"state": "absent"})
        finally:
            run("umount", self.case.name)
            self.path.rmdir()

    def test_a_symbolic_link_is_no_place(self):
        (TOP / "link").symlink_to(TOP / "a")
        try:
            with pytest.raises(Failed, match=f"leads through a symbolic link; it is {TOP}/a"):
                self.apply(self.case.a, str(TOP / "link"))
        finally:
            (TOP / "link").unlink()

    def test_what_the_kernel_refuses_is_told_in_its_words(self):
        spec = {"lower": LOWER, "options": ["userxattr", "redirect_dir=on"], "restart": "if_needed"}
        with pytest.raises(Failed, match="overlayfs: conflicting options"):
            self.apply(spec)
        self.made.clear()
        assert look(self.case.name) is None

    def test_what_systemd_would_run_is_what_is_declared(self):
        """mount(8), with the options of a unit."""
        for folder in (self.path, Path(f"{self.path}.up:p,er"), Path(f"{self.path}.work")):
            folder.mkdir(exist_ok=True)
        layers = {"lower": LOWER, "upper": f"{self.path}.up:p,er", "work": f"{self.path}.work"}
        run("mount", "strata:", self.case.name, "-t", "overlay", "-o", overlayfs.data(layers))
        self.unchanged(layers)

    def test_it_is_there_at_boot(self):
        kept = {**self.case.a, "persistent": True}
        self.foretold(kept)
        self.unchanged(kept)
        name = unit(self.case.name).name
        assert run("systemctl", "is-enabled", name) == "enabled"
        seen_by_systemd("active", name)
        assert run("systemctl", "show", "--property=NeedDaemonReload", "--value", name) == "no"
        # What systemd mounts by it is what was declared.
        run("systemctl", "stop", name)
        run("systemctl", "start", name)
        self.sees(self.case.seen_a)
        self.unchanged(kept)
        waiting = self.foretold({**self.case.b, "restart": "never", "options": []})
        assert waiting["restart_required"] == ["lower", "options"]
        self.sees({"lower": ["a", "b"]})
        run("systemctl", "restart", name)
        self.sees(self.case.seen_b)
        seen_by_systemd("active", name)
        for drift in (lambda: run("systemctl", "disable", name), lambda: unit(self.case.name).unlink()):
            drift()
            assert self.foretold({**self.case.b, "persistent": True})["changed"]
            assert run("systemctl", "is-enabled", name) == "enabled"
        self.foretold({"state": "unmounted"})
        assert unit(self.case.name).exists()
        self.foretold({"state": "absent"})
        assert not unit(self.case.name).exists()
        assert "not-found" in run("systemctl", "show", "--property=LoadState", name)
