# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""apparmor_profile: its file, its links, its note, and a kernel that is a folder as securityfs has it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import files
from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, verify
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import Layer
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import apparmor
from ansible_collections.strata.virt.plugins.module_utils.kinds.apparmor_profile import ApparmorProfile

WEB = "profile web {\n  /srv/** r,\n}\n"
NESTED = "profile web {\n  profile helper {\n  }\n}\nprofile other {\n}\n"


class Host:
    """A folder of profiles, a parser, and a kernel."""

    hashes = True

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.kernel = top / "apparmor.d", top / "kernel"
        self.folder.mkdir()
        (self.kernel / "policy" / "profiles").mkdir(parents=True)
        (self.kernel / "profiles").write_text("docker-default (enforce)\n/usr/bin/a b (complain)\n")
        (top / "enabled").write_text("Y\n")
        self.calls: list[str] = []
        self.loads = 0
        for name, value in (("FOLDER", self.folder), ("KERNEL", self.kernel), ("NOTES", top / "notes")):
            monkeypatch.setattr(apparmor, name, str(value))
        monkeypatch.setattr(apparmor, "ENABLED", str(top / "enabled"))
        monkeypatch.setattr(apparmor, "unload", self.unload)
        monkeypatch.setattr(apparmor.command, "need", lambda program, package: program)
        monkeypatch.setattr(apparmor.command, "run", self.run)
        # File systems of test hosts may have no attributes.
        monkeypatch.setattr(files, "set_owner", lambda path, name: None)
        monkeypatch.setattr(files, "owner", lambda path: None)

    @staticmethod
    def names(text: str) -> list[str]:
        found, outer = [], ""
        for indent, name in re.findall(r"^( *)profile (\w+)", text, re.MULTILINE):
            outer = outer if indent else name
            found.append(f"{outer}//{name}" if indent else name)
        return found

    def run(self, argv, *, stdin="", check=True):
        said, status, verb = "", 0, argv[1]
        self.calls.append(verb)
        if verb == "--replace":
            path = Path(argv[-1])
            forced = (self.folder / "force-complain" / path.name).is_symlink()
            self.put(path.read_text(), "complain" if forced else "enforce")
        elif "syntax" in stdin:
            said, status = "Warning from stdin (line 1): x\nAppArmor parser error at line 2: syntax error", 1
        return subprocess.CompletedProcess(argv, status, "\n".join(self.names(stdin)) + "\n", said)

    def put(self, text: str, mode: str) -> None:
        """Load, as the parser has the kernel do."""
        for name in self.names(text):
            self.unload([name])
            self.loads += 1
            *above, last = name.split("//")
            folder = self.kernel / "policy" / "profiles"
            for part in above:
                folder = next(place for place in folder.iterdir() if (place / "name").read_text() == part) / "profiles"
            folder = folder / f"{last}.{self.loads}"
            folder.mkdir(parents=True)
            (folder / "name").write_text(last)
            if self.hashes:
                (folder / "sha256").write_text(hashlib.sha256((mode + text).encode()).hexdigest() + "\n")
            with (self.kernel / "profiles").open("a") as file:
                file.write(f"{name} ({mode})\n")

    def unload(self, names) -> None:
        listed = (self.kernel / "profiles").read_text().splitlines()
        for name in names:
            for place in (self.kernel / "policy" / "profiles").glob(f"**/{name.rpartition('//')[2]}.*"):
                shutil.rmtree(place)
            listed = [line for line in listed if line.rpartition(" ")[0] != name]
        (self.kernel / "profiles").write_text("".join(f"{line}\n" for line in listed))

    @property
    def modes(self) -> dict[str, str]:
        return apparmor.Kernel().read().modes

    def file(self, name: str = "web") -> Path:
        return self.folder / name


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def planned(owner="", name="web", **options):
    resource = ApparmorProfile({"name": name, **options}, owner=owner)
    engine = ApparmorProfile.open(resource.spec)
    return resource, engine, resource.plan(read_one(resource, engine))


def apply(**options):
    resource, engine, plan = planned(**options)
    carry_out(resource, engine, plan)
    verify(resource, engine, read_one(resource, engine))
    return plan


def told(plan):
    return [("running." if one.layer is Layer.LIVE else "") + one.name for one in plan.changes]


def test_made_loaded_and_then_left_alone(host):
    assert apply(content=WEB).steps == ("create", "start")
    assert host.file().read_text() == WEB
    assert host.modes["web"] == "enforce"
    host.calls.clear()
    assert not apply(content=WEB.rstrip("\n"))
    assert not apply()
    assert host.calls == []


def test_the_text_is_compiled_before_anything_is_touched(host):
    with pytest.raises(StrataError, match="content: the profile doesn't parse: at line 2: syntax error"):
        apply(content="profile web {\nsyntax\n}")
    assert host.calls == ["--skip-kernel-load"]
    assert not host.file().exists()


def test_a_changed_text_is_stored_and_loaded(host):
    apply(content=WEB)
    plan = apply(content=WEB.replace("r,", "rw,"))
    assert plan.steps == ("configure", "update")
    assert told(plan) == ["text", "running.text"]
    assert "/srv/** rw," in host.file().read_text()


def test_modes(host):
    apply(content=WEB, mode="complain")
    assert host.modes["web"] == "complain"
    assert (host.folder / "force-complain" / "web").readlink() == host.file()
    assert not apply(content=WEB)
    plan = apply(content=WEB, mode="enforce")
    assert told(plan) == ["mode", "running.mode"]
    assert host.modes["web"] == "enforce"
    assert not (host.folder / "force-complain" / "web").is_symlink()


def test_disabled_and_loaded_again(host):
    apply(content=WEB)
    assert apply(state="disabled").steps == ("configure", "stop")
    assert "web" not in host.modes
    assert (host.folder / "disable" / "web").is_symlink()
    assert not apply(state="disabled")
    assert apply().steps == ("configure", "start")
    assert host.modes["web"] == "enforce"
    assert apply(state="disabled", name="new", content=WEB.replace("web", "new")).steps == ("create",)
    assert "new" not in host.modes


def drift_text(host):
    host.file().write_text(WEB.replace("r,", "w,"))


def drift_complain(host):
    text = WEB.replace("web {", "web flags=(complain) {")
    host.file().write_text(text)
    host.put(text, "complain")


@pytest.mark.parametrize(
    ("drift", "fields"),
    [
        (drift_text, ["text", "running.text", "running.loaded_from"]),
        (drift_complain, ["text", "running.text", "running.mode", "running.loaded_from"]),
        (lambda host: host.put("profile web {\n}\n", "enforce"), ["running.loaded_from"]),
        (lambda host: host.put(WEB, "complain"), ["running.mode", "running.loaded_from"]),
        (lambda host: host.unload(["web"]), ["state"]),
        (lambda host: host.file().unlink(), ["text", "running.text", "running.loaded_from"]),
        (lambda host: apparmor.link("disable", "web"), ["enabled"]),
        (lambda host: apparmor.link("force-complain", "web"), ["mode"]),
        (lambda host: apparmor.forget("web"), ["running.loaded_from"]),
    ],
)
def test_drift_is_seen_and_repaired(host, drift, fields):
    apply(content=WEB)
    drift(host)
    assert told(apply(content=WEB, mode="enforce")) == fields
    assert (host.file().read_text(), host.modes["web"]) == (WEB, "enforce")
    assert not apply(content=WEB, mode="enforce")


def test_several_profiles_and_those_within_others_go_together(host):
    apply(content=NESTED)
    assert {"web", "web//helper", "other"} <= host.modes.keys()
    host.unload(["web//helper"])
    assert told(apply(content=NESTED)) == ["running.loaded_from"]
    host.put("profile other {\n  profile theirs {\n  }\n}\n", "complain")
    plan = apply(content=NESTED, mode="enforce")
    assert (plan.changes[0].before, plan.changes[0].after) == ("mixed", "enforce")
    assert "other//theirs" not in host.modes
    apply(content=WEB)
    assert host.modes.keys() & {"web", "web//helper", "other"} == {"web"}
    apply(state="absent")
    assert "web" not in host.modes


@pytest.mark.parametrize("step", ["create", "configure", "load"])
def test_killed_after_any_step_it_converges(host, step, monkeypatch):
    class Killed(Exception):
        pass

    def kill(*_args):
        raise Killed

    if step != "create":
        apply(content=WEB.replace("r,", "w,"))
    with monkeypatch.context() as patched:
        patched.setattr(apparmor, "unload" if step == "load" else "load", kill)
        with pytest.raises(Killed):
            apply(content=WEB)
    apply(content=WEB)
    digest = hashlib.sha256(("enforce" + WEB).encode()).hexdigest()
    assert apparmor.Kernel().digests(["web"]) == {"web": f"sha256:{digest}"}


def test_a_distributions_own_profile(host):
    host.file("nscd").write_text("profile nscd {\n}\n")
    host.put("profile nscd {\n}\n", "enforce")
    assert not apply(name="nscd", mode="enforce")
    apply(name="nscd", mode="complain")
    assert host.modes["nscd"] == "complain"
    with pytest.raises(StrataError, match=r"state: .*nscd was not made by this collection.*state: disabled"):
        apply(name="nscd", state="absent")
    apply(name="nscd", state="disabled")
    assert host.file("nscd").exists()
    assert "nscd" not in host.modes


def test_what_is_loaded_from_elsewhere_is_not_replaced(host):
    host.put(WEB, "enforce")
    with pytest.raises(StrataError, match=r"content: has the profile web, which is loaded, and not from .*/web\."):
        apply(content=WEB)
    host.put("profile other {\n}\n", "enforce")
    host.unload(["web"])
    apply(content=WEB)
    with pytest.raises(StrataError, match="has the profile other"):
        apply(content=NESTED)
    assert host.file().read_text() == WEB


def test_src_is_a_file_of_the_host(host, tmp_path):
    (tmp_path / "source").write_text(WEB)
    apply(src=str(tmp_path / "source"))
    assert not apply(src=str(tmp_path / "source"))
    assert host.file().read_text() == WEB


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "content: must be given: there is no .*/web"),
        ({"content": WEB, "src": "/x"}, "src: can't go with content"),
        ({"src": "/nonexistent"}, "src: is not there"),
        ({"content": " \n"}, "content: must not be empty"),
        ({"content": "# nothing\n"}, "content: has no profile in it"),
        (
            {"content": WEB.replace("web {", "web flags=(attach_disconnected, complain) {"), "mode": "enforce"},
            "mode: can't",
        ),
        ({"content": WEB, "name": "abstractions"}, "name: .*abstractions is a folder of AppArmor's own"),
    ],
)
def test_what_can_not_be_is_refused(host, options, words):
    (host.folder / "abstractions").mkdir()
    with pytest.raises(StrataError, match=words):
        apply(**options)
    assert not host.file().exists()


def test_a_file_that_is_broken_and_not_declared_is_told(host):
    host.file().write_text("profile web {\nsyntax\n}\n")
    with pytest.raises(StrataError, match="web: the profile doesn't parse: at line 2"):
        apply(mode="complain")
    assert apply(content=WEB)


def test_a_source_that_the_same_stack_makes_is_refused(host):
    resource = ApparmorProfile({"name": "web", "src": "/srv/web"})
    resource.promised = frozenset({("path", "/srv/web")})
    with pytest.raises(StrataError, match="src: is made by the same stack"):
        read_one(resource, ApparmorProfile.open({}))


def test_owned_listed_and_exported(host):
    apply(owner="shop", content=NESTED, mode="complain")
    host.file("theirs").write_text("profile theirs {\n}\n")
    found = ApparmorProfile.read_many(ApparmorProfile.open({}), None)
    assert {name: state.owner for name, state in found.items()} == {"web": "shop"}
    exported = ApparmorProfile.export("web", found["web"])
    assert exported == {"name": "web", "mode": "complain", "state": "loaded", "content": NESTED}
    assert not apply(**exported)


def test_absent_twice(host):
    apply(content=WEB, mode="complain")
    assert apply(state="absent").steps == ("remove",)
    left = [path for path in host.folder.rglob("*") if path.is_symlink() or path.is_file()]
    assert (left, "web" in host.modes, apparmor.noted()) == ([], False, [])
    assert not apply(state="absent")


def test_a_kernel_without_apparmor(host, tmp_path):
    (tmp_path / "enabled").write_text("N\n")
    with pytest.raises(StrataError, match="this kernel runs without AppArmor"):
        apply(content=WEB)
    (tmp_path / "enabled").write_text("Y\n")
    (host.kernel / "profiles").unlink()
    with pytest.raises(StrataError, match="profiles can't be read"):
        apply(content=WEB)


def test_without_hashes_of_the_kernel_what_it_can_tell_is_compared(host):
    host.hashes = False
    apply(content=WEB)
    assert not apply(content=WEB)
    host.put(WEB, "complain")
    assert told(planned(content=WEB, mode="enforce")[2]) == ["running.mode"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "Warning from stdin (line 1): config file '/etc/apparmor/parser.conf' not found\n"
            "AppArmor parser error at line 3: missing an end of line character? (entry: /srv)\n",
            "at line 3: missing an end of line character? (entry: /srv)",
        ),
        (
            "AppArmor parser error for /etc/apparmor.d/web in profile /etc/apparmor.d/abstractions/ours at line 7: x\n",
            "in profile /etc/apparmor.d/abstractions/ours at line 7: x",
        ),
        (
            "profile a: has merged rule /x with conflicting x modifiers\nERROR merging rules for profile a\n",
            "profile a: has merged rule /x with conflicting x modifiers; ERROR merging rules for profile a",
        ),
        ("", "it doesn't say why"),
    ],
)
def test_what_the_parser_says(said, reason):
    assert apparmor._reason(said) == reason
