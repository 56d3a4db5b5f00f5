# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt, through its own binding. One connection; reads are in bulk."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core import files
from ..core.errors import StrataError
from ..core.libraries import library
from .libvirt_volumes import NamedVolumes


@dataclass(frozen=True)
class Domain:
    """A domain as libvirt has it: stored XML, XML of what runs (None where nothing does), state, autostart."""

    name: str
    stored: str
    running: str | None
    status: str
    autostart: bool


_AGAIN = "What runs goes on without it. Run it again once libvirt is up: it goes on from here"

_WAYS_OUT = {
    # Distributions pack them one by one, as Debian has libvirt-daemon-driver-storage-logical.
    "missing backend for pool type": "Install the package of libvirt's storage driver for that type",
}


class Host(NamedVolumes):
    """A connection.

    Args:
        uri: Which hypervisor, as ``qemu:///system``.

    Raises:
        StrataError: The binding is missing, or nobody answers.
    """

    noun: ClassVar[str] = "domain"

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.api: Any = library("libvirt", "python3-libvirt")
        # By default libvirt prints every error on stderr, even those that are handled.
        self.api.registerErrorHandler(lambda _context, _error: None, None)
        try:
            self.connection = self.api.open(uri)
        except self.api.libvirtError as error:
            raise StrataError(
                f"libvirt does not answer: {error.get_error_message()}",
                option="uri",
                value=uri,
                hint="Install libvirt-daemon-system and start libvirtd.socket (or virtqemud.socket); "
                "qemu:///system needs root or the group libvirt",
            ) from None
        self._networks: dict[str, bool] | None = None
        self._accelerated: bool | None = None
        self._lock = threading.Lock()

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        try:
            yield
        except self.api.libvirtError as error:
            said = error.get_error_message()
            hint = next((way for words, way in _WAYS_OUT.items() if words in said), None)
            raise StrataError(f"libvirt could not {what}: {said}", hint=hint if self._answers() else _AGAIN) from None

    def _answers(self) -> bool:
        """Whether the connection still stands: libvirt may have been stopped, or started anew."""
        return bool(self.connection.isAlive())

    # Reading.

    def domains(self, names: set[str] | None) -> list[Domain]:
        """The named domains, or all: three calls, and one or two more a domain."""
        api = self.api
        with self._doing("list the domains"):
            stats = self.connection.getAllDomainStats(api.VIR_DOMAIN_STATS_STATE, 0)
            automatic, saved = (
                {domain.name() for domain in self.connection.listAllDomains(flag)}
                for flag in (api.VIR_CONNECT_LIST_DOMAINS_AUTOSTART, api.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
            )
        found = []
        for domain, stat in stats:
            if names is None or domain.name() in names:
                with self._vanishing():
                    found.append(self._read(domain, stat["state.state"], automatic, saved))
        return found

    @contextmanager
    def _vanishing(self) -> Iterator[None]:
        """What goes away while it is read was not there."""
        try:
            yield
        except self.api.libvirtError as error:
            if error.get_error_code() != self.api.VIR_ERR_NO_DOMAIN:
                raise StrataError(f"libvirt could not describe a domain: {error.get_error_message()}") from None

    def _read(self, domain: Any, state: int, automatic: set[str], saved: set[str]) -> Domain:
        api = self.api
        status = {
            api.VIR_DOMAIN_SHUTOFF: "stopped",
            api.VIR_DOMAIN_PAUSED: "paused",
            api.VIR_DOMAIN_PMSUSPENDED: "suspended",
            api.VIR_DOMAIN_CRASHED: "crashed",
        }.get(state, "running")
        # A local call: an inactive domain has no ID. One that crashed may be kept, or gone.
        active = domain.ID() != -1
        if not active:
            status = "saved" if domain.name() in saved else "stopped"
        # With what is secret in it: else a password that was changed would look as before.
        stored = domain.XMLDesc(api.VIR_DOMAIN_XML_INACTIVE | api.VIR_DOMAIN_XML_SECURE)
        running = domain.XMLDesc(api.VIR_DOMAIN_XML_SECURE) if active else None
        return Domain(domain.name(), stored, running, status, domain.name() in automatic)

    def networks(self) -> dict[str, bool]:
        """All virtual networks, and whether each is active; asked once."""
        with self._lock:
            if self._networks is None:
                with self._doing("list the networks"):
                    api = self.api
                    active = {
                        network.name()
                        for network in self.connection.listAllNetworks(api.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
                    }
                    everything = {network.name() for network in self.connection.listAllNetworks(0)}
                self._networks = {name: name in active for name in everything}
            return self._networks

    def addresses(self, name: str) -> list[str]:
        """The addresses of a running domain: those that libvirt leased to it, or else those that its agent tells."""
        return self.leases(name) or self._addresses(name, self.api.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)

    def leases(self, name: str) -> list[str]:
        """The addresses that libvirt's own networks have leased to a running domain."""
        return self._addresses(name, self.api.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)

    def _addresses(self, name: str, source: int) -> list[str]:
        try:
            links = self.connection.lookupByName(name).interfaceAddresses(source, 0)
        except self.api.libvirtError as error:
            if not self._answers():
                raise StrataError(f"libvirt went away: {error.get_error_message()}", hint=_AGAIN) from None
            return []  # it has no agent, or is gone
        return [one["addr"] for link, told in links.items() if link != "lo" for one in told["addrs"] or ()]

    def machine(self, word: str, domain_type: str) -> str | None:
        """What libvirt makes of a machine type; None where the host has no such."""
        try:
            told = self.connection.getDomainCapabilities(None, None, word, domain_type, 0)
        except self.api.libvirtError:
            return None
        found = re.search(r"<machine>([^<]+)</machine>", told)
        return None if found is None else found.group(1)

    def agent(self, name: str, command: str, timeout: int) -> str:
        """What the guest agent of a running domain answers to a command, both as JSON."""
        extra: Any = library("libvirt_qemu", "python3-libvirt")
        with self._doing("ask its guest agent"):
            return str(extra.qemuAgentCommand(self._domain(name), command, timeout, 0))

    def accelerated(self) -> bool:
        """Whether KVM really works: the processor has it and the kernel hands it out. Asked once.

        ``/dev/kvm`` alone says little: it exists on hosts whose processor has no virtualisation.
        """
        with self._lock:
            if self._accelerated is None:
                self._accelerated = self._has_kvm()
            return self._accelerated

    def _has_kvm(self) -> bool:
        if re.match(r"[a-z+]+://[^/]", self.uri):  # another host
            try:
                return "kvm" in self.connection.getDomainCapabilities(None, None, None, "kvm", 0)
            except self.api.libvirtError:
                return False
        flags = re.search(r"^flags\s*:(.*)$", files.read("/proc/cpuinfo") or "", re.MULTILINE)
        if flags and not {"vmx", "svm"} & set(flags.group(1).split()):
            return False
        try:
            os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
        except PermissionError:
            return True  # not for this user, but libvirt runs guests as another
        except OSError:
            return False
        return True

    def stored(self, name: str) -> str:
        """A domain's stored XML, secrets included, fit for defining it again."""
        flags = self.api.VIR_DOMAIN_XML_INACTIVE | self.api.VIR_DOMAIN_XML_SECURE
        with self._doing("read the domain"):
            return str(self._domain(name).XMLDesc(flags))

    def running(self, name: str) -> str | None:
        """The XML of what runs; None where nothing does."""
        try:
            domain = self._domain(name)
            return str(domain.XMLDesc(self.api.VIR_DOMAIN_XML_SECURE)) if domain.isActive() else None
        except self.api.libvirtError as error:
            if error.get_error_code() == self.api.VIR_ERR_NO_DOMAIN:
                return None
            hint = None if self._answers() else _AGAIN
            raise StrataError(f"libvirt could not describe {name}: {error.get_error_message()}", hint=hint) from None

    def _domain(self, name: str) -> Any:
        return self.connection.lookupByName(name)

    # Changing.

    def define(self, xml: str) -> None:
        with self._doing("store the domain"):
            self.connection.defineXMLFlags(xml, self.api.VIR_DOMAIN_DEFINE_VALIDATE)

    def undefine(self, name: str) -> None:
        """Forget a domain: its saved memory, its snapshots' and checkpoints' metadata and its NVRAM go, disks stay."""
        api = self.api
        flags = (
            api.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | api.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | api.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | api.VIR_DOMAIN_UNDEFINE_NVRAM
        )
        try:
            self._domain(name).undefineFlags(flags)
        except api.libvirtError as error:
            if error.get_error_code() != api.VIR_ERR_NO_DOMAIN:  # a transient one is gone once it is off
                raise StrataError(f"libvirt could not undefine it: {error.get_error_message()}") from None

    def set_autostart(self, name: str, on: bool) -> None:
        with self._doing("set autostart"):
            self._domain(name).setAutostart(int(on))

    def start(self, name: str) -> None:
        """Start it, from its saved memory where it has one."""
        with self._doing("start it"):
            self._domain(name).create()

    def start_paused(self, name: str) -> None:
        with self._doing("start it"):
            self._domain(name).createWithFlags(self.api.VIR_DOMAIN_START_PAUSED)

    def pause(self, name: str) -> None:
        with self._doing("pause it"):
            self._domain(name).suspend()

    def save(self, name: str) -> None:
        """Write its memory to the host's disk, and turn it off; its next start goes on from there."""
        with self._doing("save its memory"):
            self._domain(name).managedSave(0)

    def forget_saved(self, name: str) -> None:
        with self._doing("forget its saved memory"):
            self._domain(name).managedSaveRemove(0)

    def resume(self, name: str) -> None:
        """Let a paused one run; one that runs is fine."""
        try:
            self._domain(name).resume()
        except self.api.libvirtError as error:
            if error.get_error_code() != self.api.VIR_ERR_OPERATION_INVALID:
                raise StrataError(f"libvirt could not resume it: {error.get_error_message()}") from None

    def wake(self, name: str) -> None:
        with self._doing("wake it"):
            self._domain(name).pMWakeup(0)

    def shutdown(self, name: str) -> None:
        """Ask the guest to shut down; returns at once."""
        with self._doing("ask it to shut down"):
            self._domain(name).shutdown()

    def destroy(self, name: str) -> None:
        """Turn it off, as by pulling the plug; one that is off already is fine."""
        try:
            self._domain(name).destroy()
        except self.api.libvirtError as error:
            if error.get_error_code() not in (self.api.VIR_ERR_OPERATION_INVALID, self.api.VIR_ERR_NO_DOMAIN):
                raise StrataError(f"libvirt could not turn it off: {error.get_error_message()}") from None

    def set_memory(self, name: str, kib: int) -> None:
        """Ask a running guest to inflate or deflate its balloon."""
        with self._doing("change its memory"):
            self._domain(name).setMemoryFlags(kib, self.api.VIR_DOMAIN_AFFECT_LIVE)

    def set_vcpus(self, name: str, number: int) -> None:
        with self._doing("change its number of vcpus"):
            self._domain(name).setVcpusFlags(number, self.api.VIR_DOMAIN_AFFECT_LIVE)

    def cpus(self) -> tuple[int, ...]:
        """The cpus of the host that are online."""
        with self._doing("ask for the host's cpus"):
            _count, online, _number = self.connection.getCPUMap(0)
        return tuple(number for number, on in enumerate(online) if on)

    def pin(self, name: str, what: str, cpus: set[int], number: int = 0) -> None:
        """Let a thread of a running domain run on some cpus of the host only.

        Args:
            name: The domain.
            what: ``vcpu``, ``iothread`` or ``emulator``.
            cpus: The host's cpus.
            number: Which vcpu, from 0, or which iothread, from 1.
        """
        live = self.api.VIR_DOMAIN_AFFECT_LIVE
        with self._doing(f"pin its {what}"):
            bits = tuple(cpu in cpus for cpu in range(len(self.connection.getCPUMap(0)[1])))
            domain = self._domain(name)
            if what == "vcpu":
                domain.pinVcpuFlags(number, bits, live)
            elif what == "iothread":
                domain.pinIOThread(number, bits, live)
            else:
                domain.pinEmulator(bits, live)

    def set_scheduler(self, name: str, parameter: str, value: int) -> None:
        with self._doing(f"set {parameter}"):
            self._domain(name).setSchedulerParametersFlags({parameter: value}, self.api.VIR_DOMAIN_AFFECT_LIVE)

    def set_iothreads(self, name: str, number: int) -> None:
        """Have a running domain start iothreads, or end the last ones; one that a disk uses can't end."""
        api = self.api
        with self._doing("change its iothreads"):
            domain = self._domain(name)
            there = {thread[0] for thread in domain.ioThreadInfo(api.VIR_DOMAIN_AFFECT_LIVE)}
            for thread in range(1, number + 1):
                if thread not in there:
                    domain.addIOThread(thread, api.VIR_DOMAIN_AFFECT_LIVE)
            for thread in sorted(there, reverse=True):
                if thread > number:
                    domain.delIOThread(thread, api.VIR_DOMAIN_AFFECT_LIVE)

    def set_iotune(self, name: str, target: str, limits: dict[str, int]) -> None:
        with self._doing(f"limit what {target} may do"):
            self._domain(name).setBlockIoTune(target, limits, self.api.VIR_DOMAIN_AFFECT_LIVE)

    def attach(self, name: str, device: str) -> None:
        with self._doing("attach a device"):
            self._domain(name).attachDeviceFlags(device, self.api.VIR_DOMAIN_AFFECT_LIVE)

    def detach(self, name: str, device: str) -> None:
        """Ask the guest to let go of a device; it does in its own time."""
        with self._doing("detach a device"):
            self._domain(name).detachDeviceFlags(device, self.api.VIR_DOMAIN_AFFECT_LIVE)

    def change(self, name: str, device: str) -> None:
        with self._doing("change a device"):
            self._domain(name).updateDeviceFlags(device, self.api.VIR_DOMAIN_AFFECT_LIVE)

    def note(self, name: str, element: str, prefix: str, namespace: str) -> None:
        """Set an element in the metadata of what runs; it is gone when that stops."""
        with self._doing("note what was asked"):
            api = self.api
            self._domain(name).setMetadata(
                api.VIR_DOMAIN_METADATA_ELEMENT, element, prefix, namespace, api.VIR_DOMAIN_AFFECT_LIVE
            )
