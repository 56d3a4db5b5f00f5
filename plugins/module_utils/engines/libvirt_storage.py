# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's storage pools and what is in them, through its own binding."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core import files, progress
from ..core.errors import StrataError
from . import domain_devices, domain_xml
from .libvirt_objects import NOTES, Objects

FOLDERS = ("dir", "fs", "netfs")
"""Pools of files in a folder, which libvirt makes where there is none."""


@dataclass(frozen=True)
class Pool:
    """Where volumes are."""

    name: str
    uuid: str
    type: str
    path: str | None
    active: bool


@dataclass(frozen=True)
class Volume:
    """A volume: its XML, who made it, and whether it was never finished."""

    name: str
    xml: str
    owner: str | None
    unfinished: bool = False


class Pools(Objects):
    noun = "pool"
    calls = ("listAllStoragePools", "storagePoolLookupByName", "storagePoolDefineXML")
    constant = "STORAGE_POOLS"
    inactive = "VIR_STORAGE_XML_INACTIVE"
    validate = "VIR_STORAGE_POOL_DEFINE_VALIDATE"
    gone = "VIR_ERR_NO_STORAGE_POOL"

    def start_folder(self, name: str) -> None:
        """Start it, and make its folder where there is none; owner and mode become those that it is defined with."""
        with self._doing("start it"):
            self.get(name).create(self.api.VIR_STORAGE_POOL_CREATE_WITH_BUILD)

    def start_or_build(self, name: str) -> None:
        """Start it; where it can't, make what it is built on, but never over anything that is there."""
        try:
            self.start(name)
        except StrataError:
            with self._doing("build it"):
                self.get(name).create(self.api.VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE)

    def delete(self, name: str, path: str | None) -> None:
        """Delete what a stopped pool is built on: a folder only where nothing is in it."""
        pool = self.find(name)
        if pool is not None and (path is None or os.path.lexists(path)):
            with self._doing(f"delete {path or 'what it is built on'}"):
                pool.delete(0)

    def pool(self, name: str) -> Pool | None:
        one = self.find(name)
        if one is None:
            return None
        with self._doing("read the pool"):
            root = domain_xml.parse(one.XMLDesc(0))
            return Pool(
                name, one.UUIDString(), root.get("type", ""), root.findtext("target/path"), bool(one.isActive())
            )

    # Volumes.

    def volume_names(self, pool: str) -> list[str]:
        with self._doing("list the volumes"):
            return sorted(volume.name() for volume in self._refreshed(pool).listAllVolumes(0))

    def _refreshed(self, name: str) -> Any:
        """A pool that knows what is in it: libvirt doesn't see by itself what others do to files."""
        pool = self.get(name)
        try:
            pool.refresh(0)
        except self.api.libvirtError:
            if not pool.isActive():  # so it ends where a refresh fails; else it is just busy making a volume
                raise
        return pool

    def volumes(self, pool: Pool, names: Iterable[str] | None) -> list[Volume]:
        """The named volumes of an active pool, or all: two calls, and one a volume."""
        wanted = None if names is None else set(names)
        with self._doing("list the volumes"):
            everything = self._refreshed(pool.name).listAllVolumes(0)
        found = []
        for name, xml in self._documents(one for one in everything if wanted is None or one.name() in wanted):
            note = _note(pool, name)
            found.append(Volume(name, xml, _owner(ET.fromstring(xml), note), "making" in note))
        return found

    def _documents(self, volumes: Iterable[Any]) -> Iterator[tuple[str, str]]:
        """The name and the XML of each volume that is still there."""
        for volume in volumes:
            try:
                yield volume.name(), volume.XMLDesc(0)
            except self.api.libvirtError as error:
                if error.get_error_code() != self.api.VIR_ERR_NO_STORAGE_VOL:
                    words = error.get_error_message()
                    raise StrataError(f"libvirt could not describe {volume.name()}: {words}") from None

    def volume(self, pool: str, name: str) -> Any:
        """The binding's volume, None where there is none."""
        one = self.find(pool)
        try:
            return None if one is None else one.storageVolLookupByName(name)
        except self.api.libvirtError as error:
            if error.get_error_code() == self.api.VIR_ERR_NO_STORAGE_VOL:
                return None
            raise StrataError(f"libvirt could not find the volume {name}: {error.get_error_message()}") from None

    def place(self, pool: str, name: str) -> tuple[str, str | None] | None:
        """The path and the format of a volume, or of any path that libvirt knows as one; None where there is none."""
        if name.startswith("/"):
            try:
                one = self.connection.storageVolLookupByPath(name)
            except self.api.libvirtError:
                return None
        else:
            one = self.volume(pool, name)
        if one is None:
            return None
        with self._doing("describe the volume"):
            root = ET.fromstring(one.XMLDesc(0))
        found = root.find("target/format")
        return str(root.findtext("target/path")), None if found is None else found.get("type")

    def users(self, pool: str, name: str, path: str) -> dict[str, str | None]:
        """The domains that have a volume as a disk, by its name or its path, running or not, and who made each."""
        found = {}
        for domain in self.domains(None):
            root = domain_xml.parse(domain.stored)
            sources = [root, *([domain_xml.parse(domain.running)] if domain.running else [])]
            disks = [disk for one in sources for disk in one.iterfind("devices/disk")]
            words = (domain_devices.InPool("pool"), domain_devices.InPool("volume"))
            named = {tuple(word.get(disk) for word in words) for disk in disks}
            if (pool, name) in named or path in map(domain_devices.DISK_FILE.get, disks):
                marked = domain_xml.mark(root)
                found[domain.name] = None if marked is None else marked.get("owner")
        return found

    def layers(self, pool: str, path: str) -> list[str]:
        """The volumes of a pool that have that path as their backing file."""
        with self._doing("list the volumes"):
            everything = self.get(pool).listAllVolumes(0)
        return sorted(
            name
            for name, xml in self._documents(everything)
            if ET.fromstring(xml).findtext("backingStore/path") == path
        )

    def make(
        self,
        pool: str,
        xml: str,
        owner: str,
        *,
        clone: str | None = None,
        upload: str | None = None,
        metadata: bool = False,
    ) -> None:
        """Make a volume, and fill it.

        A note says that it is being made until it is: a volume that was never finished is known as such.

        Args:
            pool: An active pool.
            xml: The volume.
            owner: Who makes it.
            clone: The volume to copy, as ``NAME`` or ``POOL/NAME``.
            upload: The file to copy into it.
            metadata: Whether the tables of an image are made at once, and not as it fills.
        """
        found = self.pool(pool)
        if found is None or not found.active:
            raise StrataError(f"the pool {pool} is not active", hint="Start it first")
        name = str(ET.fromstring(xml).findtext("name"))
        _write_note(found, name, {"making": True})
        try:
            with self._doing("make the volume"):
                made = self._made(pool, xml, clone, metadata)
        except StrataError:
            # libvirt takes back what it could not make, and what is there is somebody else's.
            files.remove(_note_path(found, name))
            raise
        with self._doing("fill the volume"):
            if upload is not None:
                # Through the holes would show what an image has already, and what was to take room at once would not.
                empty = _format(made) == "raw" and ET.fromstring(xml).findtext("allocation") == "0"
                self._upload(made, upload, sparse=empty)
            root = ET.fromstring(made.XMLDesc(0))
        if root.get("type") == "file":
            files.set_owner(str(root.findtext("target/path")), owner)
            files.remove(_note_path(found, name))
        else:
            _write_note(found, name, {"owner": owner, "key": root.findtext("key")})

    def _made(self, pool: str, xml: str, clone: str | None, metadata: bool) -> Any:
        flags = self.api.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA if metadata else 0
        if clone is None:
            return self.get(pool).createXML(xml, flags)
        progress.say(f"copying {clone}")
        source = self.source(pool, clone)
        if source is None:
            raise StrataError(f"there is no volume {clone}")
        return self.get(pool).createXMLFrom(xml, source, flags)

    def source(self, pool: str, name: str) -> Any:
        """The volume that ``NAME`` or ``POOL/NAME`` means."""
        other, slash, inner = name.partition("/")
        return self.volume(other, inner) if slash else self.volume(pool, name)

    def size(self, pool: str, name: str) -> int | None:
        """The bytes that a volume has for its guest, None where there is none."""
        volume = self.source(pool, name)
        if volume is None:
            return None
        with self._doing("describe the volume"):
            return int(volume.info()[1])

    def _upload(self, volume: Any, path: str, sparse: bool) -> None:
        """Write a file into a new volume; holes in it stay holes in one that has nothing in it yet."""
        size, told = os.path.getsize(path), -1
        stream = self.connection.newStream(0)
        with open(path, "rb", buffering=0) as file:  # where it is read is where the next section begins

            def more(_stream: Any, count: int, _opaque: Any) -> bytes:
                nonlocal told
                share = file.tell() * 100 // max(size, 1)
                if share != told:
                    told = share
                    progress.say(f"uploading {os.path.basename(path)}, {share} %")
                return file.read(count)

            if sparse:
                volume.upload(stream, 0, size, self.api.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
                stream.sparseSendAll(
                    more,
                    lambda _stream, _opaque: _section(file.fileno(), file.tell(), size),
                    lambda _stream, length, _opaque: file.seek(length, os.SEEK_CUR) and 0,
                    None,
                )
            else:
                volume.upload(stream, 0, size, 0)
                stream.sendAll(more, None)
        stream.finish()

    def resize(self, pool: str, name: str, size: int, *, shrink: bool = False, allocate: bool = False) -> None:
        flags = (self.api.VIR_STORAGE_VOL_RESIZE_SHRINK if shrink else 0) | (
            self.api.VIR_STORAGE_VOL_RESIZE_ALLOCATE if allocate and not shrink else 0
        )
        with self._doing("resize the volume"):
            self.volume(pool, name).resize(size, flags)

    def remove(self, pool: str, name: str, *, wipe: bool = False) -> None:
        """Delete a volume and what is in it, overwritten before or not; one that isn't there is fine."""
        found, volume = self.pool(pool), self.volume(pool, name)
        if volume is not None:
            with self._doing("wipe the volume"):
                if wipe:
                    progress.say(f"overwriting {name}")
                    volume.wipe(0)
            with self._doing("delete the volume"):
                volume.delete(0)
        if found is not None:
            files.remove(_note_path(found, name))


def _format(volume: Any) -> str | None:
    found = ET.fromstring(volume.XMLDesc(0)).find("target/format")
    return None if found is None else found.get("type")


def _section(file: int, at: int, size: int) -> tuple[bool, int]:
    """Whether there is data at a place of a file, or a hole, and how many bytes of it (lseek(2))."""
    try:
        data = os.lseek(file, at, os.SEEK_DATA)
    except OSError:  # ENXIO: nothing but a hole follows
        data = size
    end = os.lseek(file, at, os.SEEK_HOLE) if data == at and at < size else data
    os.lseek(file, at, os.SEEK_SET)
    return data == at and at < size, end - at


def _note_path(pool: Pool, name: str) -> str:
    return f"{NOTES}/volumes/{pool.uuid}.{name}.json"


def _note(pool: Pool, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(files.read(_note_path(pool, name)) or "{}"))
    except (ValueError, TypeError):
        return {}


def _write_note(pool: Pool, name: str, note: dict[str, Any]) -> None:
    files.write(_note_path(pool, name), json.dumps(note, sort_keys=True) + "\n")


def _owner(root: ET.Element, note: dict[str, Any]) -> str | None:
    """Who made a volume: noted on a file itself; of others beside, with the key that tells it from a later one."""
    if root.get("type") == "file":
        return files.owner(str(root.findtext("target/path")))
    return note.get("owner") if note.get("key") == root.findtext("key") else None
