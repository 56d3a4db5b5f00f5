# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_secret, looked at through libvirt's own binding, virsh and the files that libvirt keeps secrets in."""

from __future__ import annotations

import base64
import json
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

import libvirt
import pytest

from tests.lab import libvirt_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

ENGINE = "engines.libvirt_secrets.Secrets"
KEPT = Path("/etc/libvirt/secrets")
NOTES = Path("/var/lib/strata/libvirt")


def found(name: str, usage: int = libvirt.VIR_SECRET_USAGE_TYPE_CEPH) -> libvirt.virSecret | None:
    secrets = libvirt_api.connection().listAllSecrets(0)
    return next((one for one in secrets if one.usageID() == name and one.usageType() == usage), None)


def value(secret: libvirt.virSecret) -> str | None:
    """What libvirt has on its disk, which it also has of what it tells nobody."""
    file = KEPT / f"{secret.UUIDString()}.base64"
    return base64.b64decode(file.read_bytes()).decode() if file.exists() else None


def look(name: str) -> dict | None:
    secret = found(name)
    if secret is None:
        return None
    root = ET.fromstring(secret.XMLDesc(0))
    seen = {"description": root.findtext("description"), "value": value(secret)}
    return {**seen, "ephemeral": root.get("ephemeral"), "private": root.get("private")}


def edited(name: str, old: str, new: str) -> None:
    text = found(name).XMLDesc(0)
    assert old in text
    libvirt_api.connection().secretDefineXML(text.replace(old, new), 0)


class TestLibvirtSecret(Convergence):
    case = Case(
        kind="libvirt_secret",
        info="libvirt_secret_info",
        a={"usage": "ceph", "data": "correct horse", "description": "storage"},
        b={"usage": "ceph", "data": "battery staple", "private": True},
        look=look,
        seen_a={"value": "correct horse", "description": "storage", "ephemeral": "no", "private": "no"},
        seen_b={"value": "battery staple", "ephemeral": "no", "private": "yes"},
        drifts={
            "another value": lambda name: found(name).setValue(b"stolen", 0),
            "another description": lambda name: edited(name, "storage", "theirs"),
            "gone": lambda name: found(name).undefine(),
        },
        touches=(
            f"{ENGINE}.define",
            f"{ENGINE}.undefine",
            "engines.libvirt_objects.set_note",
            "libvirt.virSecret.setValue",
        ),
        bad=(("usage", "dinner"), ("data", ""), ("uuid", "7")),
        bad_names=("", " x", "x\ny"),
    )

    @property
    def name(self) -> str:
        return self.case.name

    def test_what_is_kept_is_in_no_result(self):
        first = {**self.case.a, "private": True}
        shown = json.dumps([self.apply(first), self.apply(first, check=True), self.apply({**first, "data": "other"})])
        told = json.dumps(call("libvirt_secret_info", {}))
        record = Path(f"/var/lib/strata/stacks/{self.owner}.json").read_text()
        self.stack({**first, "data": "third"})
        for said in (shown, told, record, *(note.read_text() for note in NOTES.glob("*.json"))):
            assert not [word for word in ("correct horse", 'other"', "third") if word in said]
        assert [note.stat().st_mode & 0o777 for note in NOTES.glob("*.json")] == [0o600] * len(
            list(NOTES.glob("*.json"))
        )

    def test_a_private_one_is_told_by_what_was_set_last(self):
        secret = {**self.case.a, "private": True}
        self.apply(secret)
        self.unchanged(secret)
        found(self.name).setValue(b"theirs", 0)
        assert self.apply(secret)["changed"] is False, "libvirt tells nobody, and the documentation says so"
        self.apply({**secret, "data": "staple"})
        self.sees({"value": "staple"})
        with pytest.raises(Failed, match=r"private: can't be taken back.*Remove it first"):
            self.apply({"private": False})
        theirs = self.case.another(self.name, "-theirs")
        self.made.add(theirs)
        text = f"<secret private='yes'><usage type='ceph'><name>{theirs}</name></usage></secret>"
        libvirt_api.connection().secretDefineXML(text, 0).setValue(b"unknown", 0)
        assert self.apply({"data": "ours"}, theirs)["changed"]
        assert self.apply({"data": "ours"}, theirs)["changed"] is False
        assert (look(theirs)["value"], look(theirs)["private"]) == ("ours", "yes")

    def test_what_only_memory_has_is_made_again_after_a_restart(self):
        for mark, private in (("-open", False), ("-private", True)):
            name = self.case.another(self.name, mark)
            secret = {"usage": "ceph", "data": "horse", "ephemeral": True, "private": private}
            self.apply(secret, name)
            assert (look(name)["ephemeral"], value(found(name))) == ("yes", None)
        run("systemctl", "restart", "libvirtd")
        libvirt_api.connection.cache_clear()
        for mark, private in (("-open", False), ("-private", True)):
            name = self.case.another(self.name, mark)
            assert look(name) is None
            secret = {"usage": "ceph", "data": "horse", "ephemeral": True, "private": private}
            assert self.apply(secret, name)["changed"]
            assert self.apply(secret, name)["changed"] is False

    def test_every_usage_has_bytes_and_what_it_is_for(self, tmp_path):
        data = bytes(range(256))
        file = tmp_path / "key"
        file.write_bytes(data)
        given = {"data": base64.b64encode(data).decode(), "data_is_b64": True}
        nothing = str(uuid.uuid4())
        names = {"volume": f"/srv/{self.name}", "iscsi": f"{self.name}:a b", "tls": self.name, "vtpm": self.name}
        for number, (usage, name) in enumerate({**names, "none": nothing}.items()):
            spec = {"name": name, "usage": usage, **(given if number % 2 else {"data_src": str(file)})}
            assert call("libvirt_secret", spec)["changed"]
            assert call("libvirt_secret", spec)["changed"] is False
            listed = run("virsh", "secret-list")
            assert (nothing if usage == "none" else f"{usage} {name}") in listed.replace("   ", " "), listed
        assert found(self.name, libvirt.VIR_SECRET_USAGE_TYPE_TLS).value(0) == data
        with pytest.raises(Failed, match="usage: is needed: there is one each for tls, vtpm"):
            call("libvirt_secret", {"name": self.name, "description": "which?"})
        for usage, name in {**names, "none": nothing}.items():
            assert call("libvirt_secret", {"name": name, "usage": usage, "state": "absent"})["changed"]
        assert self.name not in run("virsh", "secret-list")

    def test_a_uuid_is_kept_and_nobody_elses(self):
        key = str(uuid.uuid4())
        self.apply({**self.case.a, "uuid": key.upper()})
        assert found(self.name).UUIDString() == key
        self.unchanged({"uuid": key})
        with pytest.raises(Failed, match=f"uuid: is {key} of a secret that is there, and can't change"):
            self.apply({"uuid": str(uuid.uuid4())})
        with pytest.raises(Failed, match=f"another secret has the UUID {key}"):
            self.apply({**self.case.a, "uuid": key}, self.case.another(self.name, "-2"))
        assert json.loads((NOTES / f"{key}.json").read_text()) == {"owner": ""}

    def test_a_pool_waits_for_what_it_logs_in_with(self):
        """As far as libvirt goes without a server: it takes the XML."""
        source = {"hosts": ["san.example.com"], "devices": ["iqn.2026-01.com.example:a"]}
        source.update(auth_type="chap", auth_username="lab", auth_secret=self.name)
        pool = {"name": self.name, "type": "iscsi", "path": "/dev/disk/by-path", "source": source, "state": "inactive"}
        secret = {"name": self.name, "usage": "iscsi", "data": "horse"}
        entries = [{"libvirt_pool": pool}, {"libvirt_secret": secret}]
        stack = {"name": self.owner, "prune": True, "resources": entries}
        assert call("stack", stack)["changed"]
        assert call("stack", stack)["changed"] is False
        assert found(self.name, libvirt.VIR_SECRET_USAGE_TYPE_ISCSI).value(0) == b"horse"
        call("stack", {**stack, "resources": []})
        assert found(self.name, libvirt.VIR_SECRET_USAGE_TYPE_ISCSI) is None
