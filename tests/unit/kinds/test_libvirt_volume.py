# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_volume: what its XML says, what is planned, and what is never lost. The XML is libvirt 9.0's own."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines import libvirt_storage
from ansible_collections.strata.virt.plugins.module_utils.engines.libvirt_storage import Pool, Volume
from ansible_collections.strata.virt.plugins.module_utils.kinds import libvirt_volume_sources as sources
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_volume import LibvirtVolume, Shelf

FIXTURES = Path(__file__).parents[1] / "fixtures" / "libvirt_volume"
WEB = (FIXTURES / "web.xml").read_text()
BASE = "/srv/vms/base.qcow2"
MIB = 1024**2
ACTIVE = {"active": True, "type": "dir", "path": "/srv/vms"}


def state(text: str = WEB, **facts):
    seen = LibvirtVolume.state_of(Volume("web.qcow2", text, ""))
    return replace(seen, facts={**seen.facts, "pool": ACTIVE, **facts})


def fresh(**facts):
    return replace(ABSENT, facts={"pool": ACTIVE, **facts})


def volume(owner: str = "", applied=None, **options) -> LibvirtVolume:
    return LibvirtVolume({"name": "web.qcow2", "pool": "vms", **options}, owner=owner, applied=applied)


def test_what_libvirt_says_is_what_was_declared():
    declared = {"format": "qcow2", "capacity": "96M", "path": "/srv/vms/web.qcow2"}
    assert not volume(**declared, backing="base.qcow2").plan(state(backing_path=BASE))
    assert not volume(**declared, backing=BASE).plan(state(backing_path=None))
    assert not volume().plan(state())


def test_an_export_declares_what_is_there():
    exported = LibvirtVolume.export("web.qcow2", state())
    assert exported == {"name": "web.qcow2", "format": "qcow2", "capacity": "96M", "backing": BASE, "state": "present"}
    assert not LibvirtVolume({**exported, "pool": "vms"}).plan(state())


def test_it_grows_and_is_never_made_anew():
    assert volume(capacity="1G").plan(state()).steps == ("update",)
    for options, words in (
        ({"capacity": "64M"}, "capacity: the volume has 100663296 bytes already"),
        ({"format": "raw", "name": "web.qcow2"}, "exists with another format, and its data would be lost"),
        ({"path": "/srv/vms/web.qcow2", "backing": "other.qcow2"}, "exists with another backing"),
    ):
        with pytest.raises(StrataError, match=words):
            volume(**options).plan(state(backing_path="/srv/vms/other.qcow2"))


def test_one_that_a_domain_has_is_left_alone():
    used = state(users={"vm1": "shop"})
    with pytest.raises(StrataError, match=r"is a disk of vm1\. virsh blockresize"):
        volume(capacity="1G").plan(used)
    with pytest.raises(StrataError, match=r"is a disk of vm1\. Take the disk out"):
        volume(state="absent").plan(used)
    assert volume(state="absent", owner="shop").plan(used).steps == ("remove",)
    with pytest.raises(StrataError, match="is what a, b are layers over"):
        volume(state="absent").plan(state(layers=["b", "a"]))


@pytest.mark.parametrize(
    ("options", "facts", "words"),
    [
        ({}, {}, "capacity: is needed to make an empty volume"),
        ({"capacity": "1M"}, {"pool": None}, "pool: is no pool of libvirt's"),
        ({"capacity": "1M"}, {"pool": {**ACTIVE, "active": False}}, "pool: is a pool that is not active"),
        ({"capacity": "1M", "path": "/tmp/web.qcow2"}, {}, "path: is not in the pool, which is in /srv/vms"),
        ({"capacity": "1M", "path": "/srv/vms/other"}, {}, "path: does not end with the volume's name"),
        ({"backing": "nothing"}, {"backing_path": None}, "backing: is no volume"),
        ({"clone_from": "nothing"}, {"clone": None}, "clone_from: is no volume"),
        ({"clone_from": "base", "capacity": "1M"}, {"clone": 64 * MIB}, "capacity: is less than what is copied"),
        ({"backing": "/srv/a.raw"}, {}, "backing_format: is needed for a backing file that is in no pool"),
        ({"backing": "a", "clone_from": "b"}, {}, "clone_from: can't go with backing"),
        ({"backing": "a", "format": "raw"}, {}, "backing: needs a format that can have one"),
        ({"checksum": f"sha256:{'0' * 64}"}, {}, "checksum: is that of upload_from"),
        ({"preallocation": "metadata", "name": "a"}, {}, "preallocation: can only be done to one in qcow2"),
        ({"upload_from": "ftp://a/b"}, {}, "upload_from: must be an absolute path, or a URL"),
        ({"upload_from": "/a"}, {"missing": [("upload_from", "/a")]}, "upload_from: there is no such file"),
        (
            {"upload_from": "/a"},
            {"upload": {"format": "raw", "size": 1, "on": None}},
            "is raw, and the volume is qcow2",
        ),
        ({"upload_from": "/a"}, {"upload": {"format": "qcow2", "size": 1, "on": "/b"}}, "has the backing file /b"),
        (
            {"upload_from": "/a", "capacity": "1M"},
            {"upload": {"format": "qcow2", "size": 2 * MIB, "on": None}},
            "capacity: is less than what is copied",
        ),
    ],
)
def test_what_can_not_be_made_is_refused_before_anything_is_touched(options, facts, words):
    with pytest.raises(StrataError, match=words):
        volume(**options).plan(fresh(**facts))


class Pools:
    """Notes what it is told; has a volume ``base.qcow2``."""

    def __init__(self, size: int | None = None) -> None:
        self.told: list[tuple] = []
        self.now = size

    def place(self, pool, name):
        return (BASE, "qcow2") if name == "base.qcow2" else None

    def volume(self, pool, name):
        return None

    def size(self, pool, name):
        return self.now

    def users(self, _pool, _name, path):
        return {}

    def layers(self, pool, path):
        return []

    def make(self, pool, xml, owner, *, clone, upload, metadata):
        self.told.append(("make", ET.canonicalize(xml), owner, clone, upload, metadata))

    def resize(self, pool, name, size, *, shrink=False, allocate=False):
        self.told.append(("resize", size, shrink, allocate))

    def remove(self, pool, name, *, wipe=False):
        self.told.append(("remove", name, wipe))


def made(options: dict, size: int = 0, **facts) -> list[tuple]:
    engine, resource = Shelf(Pools(size), "vms"), volume(owner="shop", **options)
    plan = resource.plan(fresh(**facts))
    for step in plan.steps:
        resource.perform(engine, step, plan)
    return engine.pools.told


def test_a_layer_has_the_size_of_what_it_is_over_and_its_format_said():
    ((_make, xml, owner, clone, upload, _metadata),) = made({"backing": "base.qcow2"}, backing_path=BASE)
    root = ET.fromstring(xml)
    assert (owner, clone, upload) == ("shop", None, None)
    assert root.find("capacity") is None
    assert (root.findtext("backingStore/path"), root.find("backingStore/format").get("type")) == (BASE, "qcow2")


def test_a_copy_that_is_to_be_larger_grows_afterwards():
    told = made({"clone_from": "base.qcow2", "capacity": "96M"}, size=64 * MIB, clone=64 * MIB)
    assert [one[0] for one in told] == ["make", "resize"]
    told = made({"clone_from": "base.qcow2"}, size=64 * MIB, clone=64 * MIB)
    assert [one[0] for one in told] == ["make"]


def test_a_raw_upload_is_made_as_large_as_it_is_to_be_at_once():
    upload = {"format": "raw", "size": MIB, "on": None}
    options = {"name": "data", "upload_from": "/srv/data", "capacity": "2M"}
    ((_make, xml, *_rest),) = made(options, size=2 * MIB, upload=upload)
    assert ET.fromstring(xml).findtext("capacity") == str(2 * MIB)


def test_what_a_server_has_is_looked_at_before_anything_is_made(tmp_path, monkeypatch):
    options = {"name": "data", "upload_from": "https://images.example.com/data", "checksum": f"sha256:{'0' * 64}"}
    monkeypatch.setattr(sources, "_SPACE", str(tmp_path))
    monkeypatch.setattr(sources.archives, "fetch", lambda url, path, **_more: Path(path).write_bytes(b"x" * 512))
    engine, resource = Shelf(Pools(512), "vms"), volume(**options)
    plan = resource.plan(fresh())
    with pytest.raises(StrataError, match="checksum: the file is another one: it has sha256:"):
        resource.create(engine, plan)
    assert (engine.pools.told, list(tmp_path.iterdir())) == ([], [])
    good = volume(**{**options, "checksum": f"sha256:{hashlib.sha256(b'x' * 512).hexdigest()}"})
    good.create(engine, good.plan(fresh()))
    ((_make, xml, _owner, _clone, upload, _metadata),) = engine.pools.told
    assert (ET.fromstring(xml).findtext("capacity"), Path(upload).parent.parent) == ("512", tmp_path)
    small = volume(**{**options, "checksum": None, "capacity": "100"})
    with pytest.raises(StrataError, match="capacity: is less than what is copied"):
        small.create(engine, small.plan(fresh()))


def test_room_is_taken_at_once_where_it_was_said():
    ((_make, xml, *_rest, metadata),) = made({"capacity": "1M", "preallocation": "full"}, size=MIB)
    assert (ET.fromstring(xml).findtext("allocation"), metadata) == (str(MIB), False)
    ((_make, xml, *_rest, metadata),) = made({"capacity": "1M", "preallocation": "metadata"}, size=MIB)
    assert (ET.fromstring(xml).findtext("allocation"), metadata) == (None, True)
    ((_make, xml, *_rest),) = made({"capacity": "1M", "preallocation": "off"}, size=MIB)
    assert ET.fromstring(xml).findtext("allocation") == "0"


def test_it_shrinks_and_is_wiped_only_where_it_was_said():
    engine, resource = Shelf(Pools(), "vms"), volume(capacity="64M", force=True)
    resource.update(engine, resource.plan(state()))
    resource = volume(state="absent", wipe=True)
    resource.remove(engine, resource.plan(state()))
    assert engine.pools.told == [("resize", 64 * MIB, True, False), ("remove", "web.qcow2", True)]


def test_xml_says_how_a_new_one_is_made():
    text = (
        "<volume><name>web.qcow2</name><capacity unit='G'>2</capacity><allocation unit='KB'>4</allocation><target>"
        "<path>/elsewhere/x</path><format type='qcow2'/><compat>1.1</compat><features><lazy_refcounts/></features>"
        "</target><backingStore><path>/srv/vms/base.qcow2</path><format type='qcow2'/></backingStore></volume>"
    )
    ((_make, xml, *_rest),) = made({"xml": text}, size=2 * 1024**3)
    root = ET.fromstring(xml)
    assert [root.findtext(path) for path in ("capacity", "allocation", "target/compat")] == [
        "2147483648",
        "4000",
        "1.1",
    ]
    assert (root.find("target/path"), root.find("target/features/lazy_refcounts").text) == (None, None)
    assert root.find("backingStore/format").get("type") == "qcow2"
    assert not volume(xml=WEB).plan(state(backing_path=None))


def test_one_that_was_never_finished_is_made_anew():
    seen = LibvirtVolume.state_of(Volume("web.qcow2", WEB, None, unfinished=True))
    seen = replace(seen, facts={**seen.facts, "pool": ACTIVE})
    resource, engine = volume(capacity="1M"), Shelf(Pools(MIB), "vms")
    plan = resource.plan(seen)
    assert plan.changes[0].field == "unfinished"
    resource.create(engine, plan)
    assert [one[0] for one in engine.pools.told] == ["remove", "make"]
    assert volume(state="absent").plan(seen).steps == ("remove",)


def test_what_it_needs_and_what_needs_it_are_known_by_name():
    layer = volume(backing="base.qcow2", path="/srv/vms/web.qcow2")
    assert set(layer.provides()) == {("libvirt_volume", "vms/web.qcow2"), ("path", "/srv/vms/web.qcow2")}
    assert ("libvirt_volume", "vms/base.qcow2") in layer.needs()
    assert ("libvirt_pool", "vms") in layer.needs()
    assert ("libvirt_volume", "other/base") in volume(clone_from="other/base").needs()
    layer.promised = frozenset({("libvirt_pool", "vms"), ("libvirt_volume", "vms/base.qcow2")})
    assert layer.plan(ABSENT).steps == ("create",)


def test_a_stack_keeps_it_unless_it_was_said():
    assert not volume().prunable(state())
    assert volume(applied={"keep": False}).prunable(state())


def test_what_can_not_keep_a_word_of_ours_is_known_by_its_key(tmp_path, monkeypatch):
    """A logical volume's key is its UUID: one made anew by the same name is somebody else's."""
    monkeypatch.setattr(libvirt_storage, "NOTES", str(tmp_path))
    pool = Pool("fast", "f033d2d9-c845-4659-8d52-f6247f747b59", "logical", "/dev/fast", True)
    libvirt_storage._write_note(pool, "lv0", {"owner": "shop", "key": "abc"})
    note = libvirt_storage._note(pool, "lv0")
    for key, owner in (("abc", "shop"), ("def", None)):
        assert libvirt_storage._owner(ET.fromstring(f"<volume type='block'><key>{key}</key></volume>"), note) == owner


class Binding:
    """A pool of the binding's that is not able to make anything."""

    libvirtError = RuntimeError

    def createXML(self, xml, flags):
        raise StrataError("libvirt could not make the volume: storage volume name 'a' already in use")


def test_what_was_never_begun_leaves_no_word_that_it_was(tmp_path, monkeypatch):
    """Else the next run would take what somebody else made meanwhile for a volume of ours that was cut short."""
    monkeypatch.setattr(libvirt_storage, "NOTES", str(tmp_path))
    pools = libvirt_storage.Pools.__new__(libvirt_storage.Pools)
    pools.api = Binding()
    pools.get = lambda name: Binding()
    pools.pool = lambda name: Pool(name, "f033d2d9-c845-4659-8d52-f6247f747b59", "dir", "/srv/vms", True)
    with pytest.raises(StrataError, match="already in use"):
        pools.make("vms", "<volume><name>a</name></volume>", "")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
