# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_pool: what its XML says, what is planned, and what is left alone. The XML is libvirt 9.0's own."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines import domain_xml
from ansible_collections.strata.virt.plugins.module_utils.engines.libvirt_objects import Thing
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_pool import LibvirtPool

FIXTURES = Path(__file__).parents[1] / "fixtures" / "libvirt_pool"
STORED = (FIXTURES / "stored.xml").read_text()
RUNNING = (FIXTURES / "running.xml").read_text()


def state(stored: str | None = STORED, running: str | None = RUNNING, **facts):
    seen = LibvirtPool.state_of(Thing("vms", stored, running, False), "")
    return replace(seen, facts={**seen.facts, **facts})


def pool(**options) -> LibvirtPool:
    return LibvirtPool({"name": "vms", **options})


def test_what_libvirt_says_is_what_was_declared():
    assert not pool(type="dir", path="/srv/vms/", mode="0755", owner=0, group=0, autostart=False).plan(state())
    assert state().facts["capacity"] == 270553174016


def test_an_export_declares_what_is_there():
    exported = LibvirtPool.export("vms", state())
    assert exported == {
        "name": "vms",
        "type": "dir",
        "path": "/srv/vms",
        "mode": "0755",
        "owner": 0,
        "group": 0,
        "state": "active",
    }
    assert not LibvirtPool(exported).plan(state())


SOURCES = {
    "hosts": (["a.example"], ["b.example:3261", "a.example", "[2001:db8::1]:3260", "2001:db8::2"]),
    "adapter": ({"type": "scsi_host", "name": "scsi_host1"}, {"type": "fc_host", "wwnn": "2" * 16, "wwpn": "3" * 16}),
    "dir": ("/export", "/other"),
    "devices": (["/dev/sdx"], ["/dev/sdy", "/dev/sdz"]),
    "name": ("vg0", "vg1"),
    "format": ("nfs", "auto"),
    "initiator": ("iqn.2026-01.com.example:a", "iqn.2026-01.com.example:b"),
    "protocol_version": ("4", "4.2"),
    "auth_type": ("chap", "ceph"),
    "auth_username": ("one", "two"),
    "auth_secret": ("first", "second"),
}


def test_no_leaf_of_the_source_lacks_a_case():
    assert {leaf.name for leaf in LibvirtPool.field("source").codec.row} == set(SOURCES)


@pytest.mark.parametrize("leaf", SOURCES)
def test_what_is_put_is_read_back(leaf):
    text = STORED
    for value in SOURCES[leaf]:
        resource, root = pool(source={leaf: value}, state="present"), domain_xml.parse(text)
        made = resource.plan(state(text, None))
        assert made.steps == ("configure",)
        resource._put(root, made.want)
        text = ET.tostring(root, encoding="unicode")
        assert not resource.plan(state(text, None))
    assert ET.fromstring(text).findtext("target/path") == "/srv/vms"


def test_what_goes_beside_a_mount_is_put_and_read_back():
    given = {"type": "fs", "path": "/srv/vms", "source": {"devices": ["/dev/sdx"]}}
    resource = pool(**given, mount_options=["nodev", "noatime"], copy_on_write=False)
    root = domain_xml.parse("<pool><name>vms</name></pool>")
    resource._put(root, resource.plan(ABSENT).want)
    text = domain_xml.text_of(root)
    assert 'xmlns:fs="http://libvirt.org/schemas/storagepool/fs/1.0"' in text
    assert not pool(**given, mount_options=["noatime", "nodev"], copy_on_write=False, state="present").plan(
        state(text, None)
    )
    assert "mount_opts" not in ET.tostring(_emptied(root), encoding="unicode")


def _emptied(root):
    resource = LibvirtPool({"name": "vms", "mount_options": []})
    resource._put(root, {"mount_options": ()})
    return root


def test_a_change_waits_for_a_restart_or_does_one():
    assert pool(mode="0711").plan(state()).restart_required == ["mode"]
    assert pool(mode="0711", restart="if_needed").plan(state()).steps == ("configure", "restart")
    assert pool(mode="0711", state="inactive").plan(state()).steps == ("configure", "stop")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "rwx"}, "mode: is no mode"),
        ({"mode": 457}, r"mode: is no mode: write it in quotes"),
        ({"path": "here"}, "path: must be an absolute path"),
        ({}, "type: is needed to make a pool"),
        ({"type": "dir"}, "path: is needed for a pool of type dir"),
        ({"type": "netfs", "path": "/mnt", "source": {"dir": "/export"}}, r"source\.hosts: is needed"),
        ({"type": "logical"}, r"source\.name: is needed for a pool of type logical"),
        ({"type": "scsi", "path": "/dev/disk/by-path"}, r"source\.adapter: is needed for a pool of type scsi"),
        ({"type": "dir", "path": "/srv", "mount_options": ["nodev"]}, "mount_options: are those of a pool of type fs"),
        (
            {"type": "rbd", "source": {"name": "rbd", "hosts": ["ceph"]}, "path": "/mnt"},
            "path: is nothing that a pool of type rbd has.*Leave it out",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(options, words):
    with pytest.raises(StrataError, match=words):
        pool(**options).plan(ABSENT)


def test_a_pool_keeps_its_type():
    with pytest.raises(StrataError, match="type: is a pool of type dir, and can't become another one"):
        pool(type="logical").plan(state())


class Libvirt:
    """Notes what it is told."""

    noun = "pool"

    def __init__(self, volumes=(), refuses=()) -> None:
        self.volumes, self.refuses = volumes, refuses
        self.told: list[tuple] = []

    def __getattr__(self, verb):
        def noted(*words):
            self.told.append((verb, *words))
            if verb in self.refuses:
                raise StrataError(f"could not {verb}")

        return noted

    def volume_names(self, name):
        return list(self.volumes)


def test_a_folder_is_made_as_it_starts_and_nothing_else_unless_it_was_said():
    logical = {"type": "logical", "source": {"name": "vg0"}}
    for options, verb in (
        ({"type": "dir", "path": "/srv/vms"}, "start_folder"),
        ({"type": "dir", "path": "/srv/vms", "build": False}, "start"),
        (logical, "start"),
        ({**logical, "build": True}, "start_or_build"),
    ):
        engine, resource = Libvirt(), pool(**options)
        resource.start(engine, resource.plan(ABSENT))
        assert engine.told == [(verb, "vms")]


def test_what_is_in_it_stays():
    engine, gone = Libvirt(), pool(state="absent")
    gone.remove(engine, gone.plan(state()))
    assert engine.told == [("stop", "vms"), ("undefine", "vms")]
    deleting = pool(state="absent", delete=True)
    with pytest.raises(StrataError, match="delete: would lose what is in it: a, b"):
        deleting.plan(state(volumes=["a", "b"]))
    made, engine = deleting.plan(state(volumes=[])), Libvirt(volumes=["late"])
    with pytest.raises(StrataError, match="would lose what is in it: late"):
        deleting.remove(engine, made)
    assert engine.told == []
    engine = Libvirt()
    deleting.remove(engine, made)
    assert engine.told == [("stop", "vms"), ("delete", "vms", "/srv/vms"), ("undefine", "vms")]


def test_what_is_not_known_to_be_empty_is_not_deleted():
    logical = STORED.replace("type='dir'", "type='logical'")
    with pytest.raises(StrataError, match="delete: can't be done to a pool that is not active"):
        pool(state="absent", delete=True).plan(state(logical, None))


def test_a_stack_deletes_what_it_declared_so():
    pruned = LibvirtPool({"name": "vms", "state": "absent"}, owner="s", applied={"delete": True})
    assert (pruned.deletes, pool(state="absent").deletes) == (True, False)
