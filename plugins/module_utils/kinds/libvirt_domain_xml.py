# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain as XML: what of it has an option, what changing the rest costs, and how that is brought in."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar

from ..core.codec import Codec
from ..core.errors import StrataError
from ..core.field import Field, decode, encode
from ..core.plan import HIDDEN, Change, Effect, Layer, Plan, State, hidden
from ..core.resource import Resource
from ..engines import domain_devices, domain_leaves, domain_values, domain_xml
from ..engines.domain_devices import Devices
from ..engines.domain_leaves import DomainLeaves
from ..engines.xml_places import entry, patch
from . import libvirt_domain_cpu as cpus
from .libvirt_domain_disks import IOTUNE
from .libvirt_stored import StoredXml
from .libvirt_xml import FromXml, document

_PASSWORD = re.compile(r".*@passwd")
_WRITTEN = re.compile(r"""(?P<name>\bpasswd\s*=\s*)(?P<quote>["'])(?P<password>.+?)(?P=quote)""")
"""A password as a document has it."""
_NOTHING: tuple[Any, ...] = (None, (), {})

# What becomes its option wherever a document says it: so it changes while a domain runs as that does.
_UNFOLDED = ("memory", "memory_max", "vcpus", "vcpus_max", "title", "description")

_WITHIN = r"\[[^]]*\]"
_LIVE = re.compile(
    rf"devices/interface{_WITHIN}(@type|/source@(network|bridge|dev|portgroup|mode)|/link@state|/(bandwidth|filterref).*)"
    rf"|devices/graphics{_WITHIN}@passwd|devices/disk{_WITHIN}/iotune/.*"
    rf"|cputune/(vcpupin{_WITHIN}|iothreadpin{_WITHIN}|emulatorpin)@cpuset"
    r"|cputune/(shares|((global|emulator|iothread)_)?(period|quota))"
)
_MEDIUM = re.compile(rf"devices/disk{_WITHIN}/source@(file|dev|pool|volume|startupPolicy)")
_SAME_EITHER_WAY = re.compile(r"metadata.*|cpu@(check|match|migratable)")
"""What what runs does without."""


def _hidden(leaves: Mapping[str, Any]) -> dict[str, Any]:
    return {path: HIDDEN if text and _PASSWORD.fullmatch(path) else text for path, text in leaves.items()}


class XmlField(Field):
    """The leaves of a document, in which there may be a password."""

    def recorded(self, value: Any) -> str:
        return _WRITTEN.sub(lambda found: f'{found["name"]}"{hidden(found["password"])}"', str(value))

    def changes(self, before: Any, after: Any, effect: Effect, layer: Layer) -> Iterator[Change]:
        for change in super().changes(before, after, effect, layer):
            if _PASSWORD.fullmatch(str(change.key)):
                shown = [None if one is None else HIDDEN for one in (change.before, change.after)]
                yield replace(change, before=shown[0], after=shown[1], secret=True)
            else:
                yield change


LEAVES = DomainLeaves()
FIELD = XmlField(
    "xml",
    Codec(lambda text: LEAVES.given(document(text)), "str", _hidden, partial=True),
    LEAVES,
    Effect.RESTART,
    export=False,
)


def device(path: str) -> str:
    """The device that a leaf is of, as ``devices/disk[vda]``; empty where it is of none."""
    found = re.match(r"devices/[^/@]+", path)
    return found.group() if found else ""


def _of_device(leaves: Mapping[str, Any], which: str) -> dict[str, Any]:
    return {path: text for path, text in leaves.items() if device(path) == which}


class DomainXml(FromXml, StoredXml):
    """A domain that may be given as XML."""

    tag: ClassVar[str] = "domain"
    wait_gone: Callable[[Any, str, Callable[[ET.Element], bool]], None]  # of a domain that runs

    def __init__(self, options: Mapping[str, Any], **more: Any) -> None:
        self.returned: frozenset[str] = frozenset()
        super().__init__(options, **more)

    def settled(self) -> Resource:
        once = type(self)(super().settled().options, owner=self.owner, applied=self.applied)
        once.returned = self.returned
        return once

    # What is an option.

    @classmethod
    def beside(cls, root: ET.Element, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options that a document and a task make: an option wins, and its list has all that there is of its sort.

        Raises:
            ValueError: The document is of something else, or says more of such a list.
        """
        cls.refuse_other(root, given)
        root = deepcopy(root)
        domain_values.told(root)
        domain_values.spelled_out(root)
        options = dict(given)
        unfolded = {*_UNFOLDED, *(() if root.find("iothreadids") is not None else ("iothreads",))}
        for field in cls.fields:
            value = field.at.get(root) if field.at and field.name != "xml" else None
            apart = given.get(field.name.removesuffix("_max")) if field.name.endswith("_max") else None
            names = (field.name, *field.aliases)
            said = next((given[name] for name in names if given.get(name) is not None), None)
            if value in (*_NOTHING, 0):
                continue
            if said is None and field.name in unfolded and apart is None:
                options[field.name] = field.show(value)
            elif said and field.codec.row and not field.codec.single:
                options[field.name] = _together(field, said, value or ())
        return options

    def covered(self, text: Any) -> set[str]:
        root, alone = document(text), ET.Element("domain")
        domain_values.told(root)
        domain_values.spelled_out(root)
        for field in self.fields:
            given = self.options.get(field.name)
            if not field.at or field.name in ("xml", "cloud_init") or given is None:
                continue
            value = field.at.get(root)
            if isinstance(field.at, Devices):
                field.at.copy(root, alone)
                continue
            if field.codec.single and value:
                value = {name: one for name, one in value.items() if name in given}
            if value not in _NOTHING:
                field.at.put(alone, value)
        covered = set(LEAVES.given(alone))
        return {*covered, *(path.rpartition("@")[0] for path in covered), "name", "uuid"} - {""}

    def declare(self) -> dict[str, Any]:
        values = super().declare()
        if self.returned and "xml" in values:
            values["xml"] = {path: text for path, text in values["xml"].items() if path not in self.returned}
        return values

    def check_hypervisor(self, state: State) -> None:
        """Refuse a document for KVM where there is none.

        Raises:
            StrataError: It says what helps.
        """
        wanted, has = self.declared.get("xml") or {}, state.config.get("xml") or {}
        if wanted.get("@type") == "kvm" != has.get("@type") and not state.facts.get("kvm", True):
            raise StrataError(
                "is for type='kvm', and KVM does not work on this host",
                option="xml",
                hint="Write domain_type: auto beside it: then it is emulated where it has to be",
            )

    def document(self) -> ET.Element | None:
        """What a new domain is made from, where it is given as XML."""
        if not self.options.get("xml"):
            return None
        root = document(self.options["xml"])
        domain_values.told(root)
        domain_values.spelled_out(root)
        return root

    def xml_needs(self) -> Iterator[tuple[str, str]]:
        """What its document names, and others may make."""
        root = self.document()
        for row in () if root is None else self.field("disks").at.get(root):
            if "file" in row:
                yield "path", row["file"]
            elif "volume" in row:
                yield "libvirt_volume", f"{row.get('pool')}/{row['volume']}"
        for row in () if root is None else root.iterfind("devices/interface/source[@network]"):
            yield "libvirt_network", row.get("network", "")

    # What there is.

    def compared(self, state: State) -> Iterable[ET.Element | None]:
        stored, running = state.document
        if running is None:
            return stored, None
        running = domain_leaves.started(running, stored)
        asked, cpu = (state.live or {}).get("cpu") or {}, running.find("cpu")
        if cpu is not None and asked and entry(cpus.CPU, cpu).get("mode") != asked.get("mode"):
            # It tells what its model has become on this host.
            for tag in ("model", "vendor", "feature"):
                for one in cpu.findall(tag):
                    cpu.remove(one)
            cpu.attrib.pop("mode", None)
            patch(cpus.CPU, cpu, asked)
        return stored, running

    def observe(self, engine: Any, state: State) -> State:
        state = super().observe(engine, state)
        if state.live is None or "xml" not in state.live:
            return state
        stored = state.config.get("xml", {})
        either = {path: text for path, text in stored.items() if _SAME_EITHER_WAY.fullmatch(path)}
        wanted = self.declared.get("xml") or {}
        either = {path: wanted.get(path) for path in either}
        return replace(state, live={**state.live, "xml": {**state.live["xml"], **either}})

    def xml_cost(self, change: Change, state: State) -> Effect:
        """What one leaf that is otherwise costs what runs."""
        path, runs = str(change.key), (state.live or {}).get("xml", {})
        which, wanted = device(path), self.declared.get("xml") or {}
        if which and (not _of_device(runs, which) or not any(_of_device(wanted, which).values())):
            return Effect.LIVE if _hot(which, {**runs, **wanted}, state) else Effect.RESTART
        drive = wanted.get(f"{which}@device") == "cdrom"
        live = _LIVE.fullmatch(path) or (drive and _MEDIUM.fullmatch(path))
        return Effect.LIVE if live and change.after is not None else Effect.RESTART

    # Doing.

    def finish(self, root: ET.Element, values: Mapping[str, Any]) -> None:
        """Do what goes with leaves that were put: as their options do it."""
        paths = list(values.get("xml") or ())
        if any(path.startswith(("cpu/", "cpu@")) for path in paths):
            self.field("cpu").at.note(root)
        if any(path.startswith("devices/watchdog") for path in paths):
            self.field("watchdog").at.agree(root)

    def _lost(self, engine: Any, values: Mapping[str, Any]) -> str:
        kept = {path: text for path, text in (values.get("xml") or {}).items() if text is not None}
        return super()._lost(engine, {**values, "xml": kept} if "xml" in values else values)

    def came_back(self, engine: Any, plan: Plan) -> None:
        """What nobody declares any more, and libvirt has again nevertheless: it is what there is without a word."""
        gone = {path: None for path, text in (plan.want.get("xml") or {}).items() if text is None}
        if gone:
            self.returned = frozenset(LEAVES.seen(domain_xml.parse(engine.stored(self.name)), gone))

    def bring_in_leaves(self, engine: Any, changes: Iterable[Change], wanted: Mapping[str, Any]) -> None:
        """Bring what is declared as XML into what runs."""
        paths = [str(change.key) for change in changes]
        for path in (path for path in paths if path.startswith("cputune/")):
            self._tune(engine, path, wanted[path])
        devices = list(dict.fromkeys(filter(None, map(device, paths))))
        # What goes makes room for what comes.
        for which in sorted(devices, key=lambda one: any(_of_device(wanted, one).values())):
            self._bring_in_device(engine, which, wanted, [path for path in paths if device(path) == which])

    def _tune(self, engine: Any, path: str, text: str) -> None:
        found = re.match(r"cputune/(vcpu|iothread|emulator)pin(?:\[(\d+)\])?@", path)
        if found:
            engine.pin(self.name, found[1], set(domain_values.numbers(text) or ()), int(found[2] or 0))
        else:
            leaf = path.rpartition("/")[2]
            engine.set_scheduler(self.name, cpus.SCHEDULER.get(leaf, leaf), int(text))

    def _bring_in_device(self, engine: Any, which: str, wanted: Mapping[str, Any], paths: list[str]) -> None:
        live = domain_xml.parse(engine.running(self.name) or domain_xml.SKELETON)
        element = LEAVES.devices(live, wanted).get(which)
        if not any(_of_device(wanted, which).values()):
            if element is not None:
                engine.detach(self.name, domain_xml.text_of(element))
                self.wait_gone(engine, f"xml[{which}]", lambda root: which not in LEAVES.devices(root, wanted))
        elif element is None:
            element = LEAVES.devices(domain_xml.parse(engine.stored(self.name)), wanted)[which]
            address = element.find("address")
            if address is not None and domain_devices.same_address(live, address):
                element.remove(address)
            engine.attach(self.name, domain_xml.text_of(element))
        elif all("/iotune/" in path for path in paths):
            limits = {name: wanted.get(f"{which}/iotune/{name}") or 0 for name in (leaf.name for leaf in IOTUNE)}
            target = element.find("target")
            name = "" if target is None else target.get("dev", "")
            engine.set_iotune(self.name, name, {leaf: int(limit) for leaf, limit in limits.items()})
        else:
            alone = ET.Element("domain")
            ET.SubElement(alone, "devices").append(element)
            LEAVES.put(alone, _of_device(wanted, which))
            engine.change(self.name, domain_xml.text_of(element))


def _hot(which: str, leaves: Mapping[str, Any], state: State) -> bool:
    """Whether a device comes and goes while a domain runs."""
    tag = which.partition("/")[2].partition("[")[0]
    if tag == "disk":
        bus = leaves.get(f"{which}/target@bus") or "virtio"
        return bus in ("virtio", "usb") or (bus == "scsi" and bool(state.facts.get("scsi")))
    return tag in ("interface", "hostdev", "channel")


def _together(field: Field, given: Iterable[Any], value: Iterable[Any]) -> list[Any]:
    """A list of entries, each with what a document says besides of it.

    Raises:
        ValueError: The document has one that the list has not.
    """
    said = field.keyed(value)
    told = []
    for row in given:
        key = next(iter(field.keyed([decode(field.codec.row, row)])))
        told.append({**encode(field.codec.row, said.pop(key, {})), **{k: v for k, v in row.items() if v is not None}})
    if said:
        raise ValueError(
            f"has {', '.join(map(repr, said))}, which {field.name} has not, and {field.name} names all that there are: "
            f"write all of them here, or all of them there"
        )
    return told
