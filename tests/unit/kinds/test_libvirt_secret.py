# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_secret: what its XML says, how what is kept is compared, and what is refused. The XML is libvirt 11.3's."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.converge import describe, report
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.fingerprint import fingerprint
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines import libvirt_objects
from ansible_collections.strata.virt.plugins.module_utils.engines.libvirt_secrets import Secret, Secrets
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_pool import LibvirtPool
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_secret import LibvirtSecret

KEY = "2ec115d7-3a88-3ceb-bc12-0ac909a6fd87"
XML = f"""<secret ephemeral='no' private='no'>
  <uuid>{KEY}</uuid>
  <description>storage</description>
  <usage type='ceph'>
    <name>client.lab</name>
  </usage>
</secret>
"""
PRIVATE = XML.replace("private='no'", "private='yes'")
TLS = XML.replace("ceph", "tls").replace(KEY, "9445cfd0-1d75-4f98-9ecd-0e68cefd73d4")


class Libvirt(Secrets):
    """Has some secrets, and keeps what it is told."""

    def __init__(self, *there: Secret) -> None:
        self.there = there
        self.told: list[tuple] = []

    def secrets(self, names):
        return [one for one in self.there if names is None or one.name in names]

    def stored(self, name):
        return next(one.xml for one in self.there if name in one.xml)

    def define(self, xml):
        self.told.append(("define", ET.canonicalize(xml, strip_text=True)))

    def keep(self, key, value, fingerprint):
        self.told.append(("keep", key, value, fingerprint))


def secret(owner: str = "", **options) -> LibvirtSecret:
    return LibvirtSecret({"name": "client.lab", **options}, owner=owner)


def seen(resource: LibvirtSecret, *there: Secret, engine=None):
    engine = engine or Libvirt(*there)
    return resource.observe(engine, resource.read_many(engine, ["client.lab"]).get("client.lab", ABSENT))


def plan(resource: LibvirtSecret, *there: Secret):
    return resource.plan(seen(resource, *there))


OPEN = Secret("client.lab", XML, b"horse", None)
EMPTY = Secret("client.lab", XML, None, None)
SHUT = Secret("client.lab", PRIVATE, None, fingerprint(b"horse"))
THEIRS = Secret("client.lab", PRIVATE, None, None)


@pytest.mark.parametrize(
    ("there", "data", "fields"),
    [
        (OPEN, "horse", []),
        (OPEN, "staple", ["data"]),
        (EMPTY, "horse", ["data"]),
        (SHUT, "horse", []),
        (SHUT, "staple", ["data"]),
        (THEIRS, "horse", ["data"]),
        (THEIRS, None, []),
    ],
)
def test_what_is_kept_is_compared_as_far_as_libvirt_tells_it(there, data, fields):
    resource = secret(usage="ceph", data=data, description="storage", ephemeral=False)
    made = plan(resource, there)
    assert [change.field for change in made.changes] == fields
    shown = json.dumps([describe(resource, made), made.diff(""), report(LibvirtSecret, "client.lab", made.state)])
    assert not [word for word in ("horse", "staple", "aG9yc2U") if word in shown]


def test_an_export_declares_all_but_what_is_kept():
    resource = secret()
    exported = LibvirtSecret.export("client.lab", seen(resource, SHUT))
    assert exported == {
        "name": "client.lab",
        "usage": "ceph",
        "description": "storage",
        "private": True,
        "state": "present",
    }
    assert not plan(LibvirtSecret(exported), SHUT)


def test_xml_says_the_same():
    assert not plan(secret(xml=XML, data="horse"), OPEN)
    assert [change.name for change in plan(secret(xml=XML.replace("storage", "other")), OPEN).changes] == [
        "description"
    ]
    with pytest.raises(StrataError, match=r"xml: is for 'client.lab', which is its name here"):
        LibvirtSecret({"name": "other", "xml": XML})


@pytest.mark.parametrize(
    ("usage", "name", "element"),
    [
        ("volume", "/srv/a", "volume"),
        ("ceph", "a b", "name"),
        ("iscsi", "a", "target"),
        ("tls", "a", "name"),
        ("vtpm", "a", "name"),
    ],
)
def test_a_new_one_is_for_what_its_name_says(usage, name, element, tmp_path, monkeypatch):
    monkeypatch.setattr(libvirt_objects, "NOTES", str(tmp_path))
    engine, resource = Libvirt(), LibvirtSecret({"name": name, "usage": usage, "data": "horse", "private": True})
    resource.create(engine, resource.plan(seen(resource, engine=engine)))
    (_define, text), (_keep, key, value, kept) = engine.told
    assert f'<usage type="{usage}"><{element}>{name}</{element}></usage>' in text
    assert json.loads((tmp_path / f"{key}.json").read_text()) == {"owner": ""}
    assert (value, fingerprint(b"horse", kept)) == (b"horse", kept)


def test_one_for_nothing_is_named_by_its_uuid(tmp_path, monkeypatch):
    monkeypatch.setattr(libvirt_objects, "NOTES", str(tmp_path))
    resource = LibvirtSecret({"name": KEY, "usage": "none"})
    root = resource.fresh()
    resource._put(root, resource.plan(replace(ABSENT, document=(None, None, None))).want)
    assert ET.tostring(root, encoding="unicode") == f"<secret><uuid>{KEY}</uuid></secret>"
    with pytest.raises(StrataError, match="name: is no UUID"):
        LibvirtSecret({"name": "a", "usage": "none"})


def test_two_for_the_same_are_told_apart_by_their_use():
    there = (OPEN, Secret("client.lab", TLS, b"staple", None))
    assert not plan(secret(usage="tls", data="staple"), *there)
    assert plan(secret(usage="vtpm", data="staple"), *there).steps == ("create",)
    with pytest.raises(StrataError, match="usage: is needed: there is one each for ceph, tls"):
        plan(secret(data="horse"), *there)


def test_what_becomes_private_is_noted():
    engine, resource = Libvirt(OPEN), secret(private=True, data="horse")
    made = resource.plan(seen(resource, engine=engine))
    assert [change.field for change in made.changes] == ["private"]
    resource.update(engine, made)
    (_define, text), (_keep, key, value, kept) = engine.told
    assert ('private="yes"' in text, key, value, fingerprint(b"horse", kept)) == (True, KEY, b"horse", kept)


@pytest.mark.parametrize(
    ("options", "there", "words"),
    [
        ({"private": False}, SHUT, "private: can't be taken back: libvirt never tells it again"),
        ({"uuid": "9445cfd0-1d75-4f98-9ecd-0e68cefd73d4"}, OPEN, f"uuid: is {KEY} of a secret that is there"),
        ({"data": "x"}, None, "usage: is needed for a new secret"),
        ({"usage": "ceph", "data_src": "/nonexistent"}, None, "data_src: can't be read: No such file"),
        ({"data": "x", "data_src": "/nonexistent"}, None, "data_src: can't go with data"),
        ({"data": "%", "data_is_b64": True}, None, "data: is not what data_is_b64 says"),
        ({"data": "x" * 65537}, None, "data: is of 65537 bytes: libvirt keeps from 1 to 65536"),
    ],
)
def test_what_can_not_be_is_refused(options, there, words):
    with pytest.raises(StrataError, match=words):
        plan(secret(**options), *([there] if there else []))


def test_a_pool_of_the_same_stack_waits_for_it():
    pool = LibvirtPool({"name": "a", "source": {"auth_secret": "client.lab"}})
    assert set(secret().provides()) & set(pool.needs())
