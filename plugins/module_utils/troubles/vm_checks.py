# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a virtual machine doesn't start, stopped, can't be reached, or is slow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..core.codec import show_size
from ..core.diagnosis import ERROR, NOTE, WARNING, Check, Facts, Topic
from . import vm, walk

_SLOW_BUSES = ("ide", "sata")
_SLOW_MODELS = ("e1000", "e1000e", "rtl8139", "")


def _lacks(subject: str, what: str) -> Callable[[Facts], Iterable[Facts]]:
    return lambda facts: [lack for lack in facts["lacks"] if (lack["subject"], lack["what"]) == (subject, what)]


def _unknown(facts: Facts) -> Iterator[Facts]:
    machine = facts["vm"]
    if machine["domain"] is None:
        yield {**machine, "others": ", ".join(machine["defined"]) or "none"}


def _stopped(facts: Facts, bad: bool) -> Iterator[Facts]:
    """Machines that don't run: where something went wrong, or where somebody wanted it so."""
    machine = facts["vm"]
    broken = machine["state"] in ("paused", "crashed") or machine["reason"] in ("failed", "crashed")
    if machine["state"] not in ("running", "unknown") and broken is bad:
        yield machine


def _files(facts: Facts) -> Iterator[tuple[Facts, Facts, Facts | None]]:
    """Each file of each disk, and the one above it that names it."""
    for disk in facts["vm"]["domain"]["disks"]:
        above: Facts | None = None
        for file in disk["files"]:
            yield disk, file, above
            above = file


def _absent(facts: Facts) -> Iterator[Facts]:
    for disk, file, above in _files(facts):
        if not file["there"]:
            named = (
                f"the header of {above['path']} names it as its backing file" if above else "the domain's XML names it"
            )
            yield {**facts["vm"], **disk, "path": file["path"], "named": named, "vm": facts["vm"]["name"]}


def _damaged(facts: Facts) -> Iterator[Facts]:
    for _disk, file, _above in _files(facts):
        if file["error"]:
            yield file


def _unreachable(facts: Facts) -> Iterator[Facts]:
    """Folders that QEMU's own user can't pass, though libvirt gives it the disk itself."""
    user = facts["qemu_user"]
    seen = set()
    for disk in facts["vm"]["domain"]["disks"] if user else ():
        for step in disk["steps"][:-1]:
            if step["kind"] == "folder" and not walk.rights(step, user) & walk.PASS and step["path"] not in seen:
                seen.add(step["path"])
                yield {**step, "disk": disk["path"], "user": user["name"]}


def _pages(facts: Facts) -> Iterator[Facts]:
    machine = facts["vm"]["domain"]
    if machine["hugepages"]:
        size = show_size(machine["hugepages"])
        free, wanted = facts["free_pages"].get(size) or 0, -(-machine["memory"] // machine["hugepages"])
        if free < wanted:
            yield {"size": size, "free": free, "wanted": wanted, "kb": machine["hugepages"] // 1024}


def _memory(facts: Facts) -> Iterator[Facts]:
    machine, free = facts["vm"]["domain"], facts["available"]
    if not machine["hugepages"] and free is not None and machine["memory"] > free:
        yield {"wanted": show_size(machine["memory"]), "free": f"{free // 1024**2}M"}


def _interfaces(facts: Facts) -> list[Facts]:
    name = facts["vm"]["name"]
    return [{**nic, "vm": name} for nic in facts["vm"]["domain"]["interfaces"]]


def _network_of(facts: Facts, nic: Facts) -> Facts | None:
    return next((one for one in facts["virtual_networks"] if one["name"] == nic["network"]), None)


def _network_off(facts: Facts) -> Iterator[Facts]:
    for nic in _interfaces(facts):
        one = _network_of(facts, nic)
        if nic["type"] == "network" and (one is None or not one["active"]):
            yield {**nic, "seen": "is defined and not active" if one else "is not defined"}


def _unplugged(facts: Facts) -> Iterator[Facts]:
    for nic in _interfaces(facts):
        if nic["type"] in ("network", "bridge") and nic["tap"] and nic["plugged"] is None:
            yield nic


def _no_lease(facts: Facts) -> Iterator[Facts]:
    for nic in _interfaces(facts) if facts["vm"]["state"] == "running" else ():
        one = _network_of(facts, nic)
        if one and one["active"] and one["leases"] and nic["mac"] not in facts["vm"]["leases"]:
            yield {**nic, "dnsmasq": "runs" if one["server"] else "does not run", "table": one["bridge"]}


def _no_firmware(facts: Facts) -> Iterator[Facts]:
    if facts["vm"]["domain"]["firmware_there"] is False:
        yield facts["vm"]["domain"]


def _emulated(facts: Facts) -> Iterator[Facts]:
    if facts["vm"]["domain"]["type"] == "qemu" and facts["kvm"]["usable"]:
        yield facts["vm"]


def _needs_kvm(facts: Facts) -> Iterator[Facts]:
    if facts["vm"]["domain"]["type"] == "kvm" and not facts["kvm"]["usable"]:
        yield {**facts["vm"], "reason": facts["kvm"]["why_not"].get("usable", "")}


def _slow_devices(facts: Facts) -> Iterator[Facts]:
    for disk in facts["vm"]["domain"]["disks"]:
        if disk["device"] == "disk" and disk["bus"] in _SLOW_BUSES:
            yield {"device": f"The disk {disk['target']}", "seen": f"bus {disk['bus']}", "option": "disks: bus"}
    for nic in _interfaces(facts):
        if nic["model"] in _SLOW_MODELS:
            model = nic["model"] or "not named, which is rtl8139 or e1000"
            yield {"device": f"The interface {nic['mac']}", "seen": f"model {model}", "option": "networks: model"}


def _too_many(facts: Facts) -> Iterator[Facts]:
    machine = facts["vm"]["domain"]
    if facts["cpus"] and machine["vcpus"] > facts["cpus"]:
        yield {"vcpus": machine["vcpus"], "cpus": facts["cpus"]}


CHECKS = (
    Check(
        "KVM is usable",
        WARNING,
        _lacks("kvm", "usable"),
        "KVM is not usable: {reason}",
        "the processor's flags, /sys/class/misc/kvm, /dev/kvm (host_info, subject kvm)",
        "Machines of type qemu are emulated, ten to a hundred times slower; those of type kvm don't start.",
        "{remedy}",
    ),
    Check(
        "libvirt answers",
        ERROR,
        _lacks("engines", "libvirt"),
        "libvirt: {reason}",
        "its program and its sockets (host_info, subject engines)",
        "Nothing can be asked of it, and nothing started; machines that run go on.",
        "{remedy}",
    ),
    Check(
        "the machine is known",
        ERROR,
        _unknown,
        "There is no domain {name}",
        "virsh dumpxml {name} and /etc/libvirt/qemu/{name}.xml; defined are: {others}",
        "It was never defined here, was transient and has ended, or belongs to qemu:///session of a user.",
        "strata.virt.libvirt_domain with name: {name}; virsh -c qemu:///session list --all as that user",
        ("vm",),
    ),
    Check(
        "nothing stopped the machine",
        ERROR,
        lambda facts: _stopped(facts, True),
        "The machine {name} is {state}: {reason}",
        "virsh domstate --reason {name}",
        "It does not run, and nobody asked for that.",
        "See the other findings for the cause; then virsh resume {name} where it is paused, virsh start {name} else",
        ("domain", "state"),
    ),
    Check(
        "nobody switched the machine off",
        NOTE,
        lambda facts: _stopped(facts, False),
        "The machine {name} is {state}: {reason}",
        "virsh domstate --reason {name}",
        "Somebody shut it down or it was never started.",
        "strata.virt.libvirt_domain with name: {name} and state: started",
        ("domain", "state"),
    ),
    Check(
        "QEMU and libvirt report no error",
        ERROR,
        lambda facts: facts["vm"]["errors"],
        "{what}",
        "the last run's log in /var/log/libvirt/qemu, or the journal of the last hour: {line}",
        "{why}",
        "{remedy}",
        ("domain", "log"),
    ),
    Check(
        "AppArmor refused the machine nothing",
        WARNING,
        lambda facts: facts["vm"]["denied"],
        "AppArmor refused a QEMU {operation} of {thing} ({count} in the last hour)",
        "audit records of the last hour: profile {profile}, denied {mask}",
        "libvirt writes each machine a profile of what its XML names; what it does not name is refused.",
        "Name it in the XML, or add the line {rule} to /etc/apparmor.d/local/abstractions/libvirt-qemu",
        ("domain", "log", "records"),
    ),
    Check(
        "disks and their backing files are there",
        ERROR,
        _absent,
        "{path}, of the disk {target}, is not there",
        "{named}",
        "The machine does not start.",
        "Bring it back, make it with strata.virt.libvirt_volume or strata.virt.qemu_image, take it out of disks; "
        "where a backing file only moved, qemu-img rebase -u -F FORMAT -b PATH OVERLAY",
        ("domain",),
    ),
    Check(
        "disks can be read",
        ERROR,
        _damaged,
        "A disk can't be read: {error}",
        "the header of {path}",
        "The machine does not start, or sees errors.",
        "qemu-img check {path}, on a copy before anything is repaired",
        ("domain",),
    ),
    Check(
        "QEMU's user may pass to the disks",
        WARNING,
        _unreachable,
        "{user}, as whom QEMU runs, may not pass {path}",
        "{path} is {mode}, of {owner}:{group}; in it is the disk {disk}",
        "libvirt gives QEMU the disk, and not the folders above it: Permission denied.",
        "Move the disk into a pool such as /var/lib/libvirt/images, or setfacl -m u:{user}:x {path}",
        ("domain",),
    ),
    Check(
        "huge pages are free",
        ERROR,
        _pages,
        "The machine needs {wanted} huge pages of {size}, and {free} are free",
        "/sys/kernel/mm/hugepages/hugepages-{kb}kB/free_hugepages, and memoryBacking of the domain",
        "All of its memory is taken when it starts.",
        "echo N > /sys/kernel/mm/hugepages/hugepages-{kb}kB/nr_hugepages, at best at boot (hugepages= of the kernel)",
        ("domain", "off"),
    ),
    Check(
        "memory is free",
        WARNING,
        _memory,
        "The machine is to have {wanted}, and the host has {free} to spare",
        "memory of the domain; MemAvailable of /proc/meminfo",
        "It starts, and once it uses its memory the host swaps, or kills the largest process.",
        "Stop something, or give it less: memory of strata.virt.libvirt_domain",
        ("domain", "off"),
    ),
    Check(
        "networks of the machine are active",
        ERROR,
        _network_off,
        "The network {network} of {vm} {seen}",
        "/etc/libvirt/qemu/networks and /run/libvirt/network",
        "The machine does not start.",
        "strata.virt.libvirt_network with name: {network}, state: started and autostart: true",
        ("domain",),
    ),
    Check(
        "interfaces are plugged in",
        ERROR,
        _unplugged,
        "{tap}, the interface {mac} of {vm}, is on no bridge",
        "/sys/class/net/{tap} has no master",
        "A network that is stopped and started, or a bridge that is made anew, leaves the links of running guests out.",
        "ip link set {tap} master BRIDGE; or virsh detach-interface and attach-interface; a restart of libvirtd plugs "
        "those of its networks in again",
        ("domain", "running"),
    ),
    Check(
        "interfaces have a lease",
        WARNING,
        _no_lease,
        "The interface {mac} of {vm} has no lease of the network {network}",
        "/var/lib/libvirt/dnsmasq/{table}.status does not name it; the network's dnsmasq {dnsmasq}",
        "The guest has no DHCP client on that link, did not boot this far, or was not answered.",
        "virsh console {vm}: does it boot, and what says ip address; then strata.virt.troubleshoot_network",
        ("domain", "running"),
    ),
    Check(
        "the firmware is there",
        ERROR,
        _no_firmware,
        "The firmware {firmware} is not there",
        "loader of the domain",
        "The machine does not start.",
        "Install ovmf (Debian) or edk2-ovmf (Fedora), or take loader out of the XML",
        ("domain",),
    ),
    Check(
        "the type of the machine can be had",
        ERROR,
        _needs_kvm,
        "{name} is of type kvm, and KVM is not usable",
        "the domain's XML; {reason}",
        "The machine does not start.",
        "Make KVM usable; until then type: qemu of strata.virt.libvirt_domain, many times slower",
        ("domain",),
    ),
    Check(
        "the machine uses the KVM that there is",
        WARNING,
        _emulated,
        "{name} is emulated, though KVM is usable",
        "the domain's XML: type qemu",
        "It is ten to a hundred times slower than it could be.",
        "type: kvm of strata.virt.libvirt_domain",
        ("domain",),
    ),
    Check(
        "devices are virtio",
        NOTE,
        _slow_devices,
        "{device} imitates real hardware",
        "the domain's XML: {seen}",
        "Each access costs exits to QEMU that virtio does without: a fraction of its throughput.",
        "virtio ({option} of strata.virt.libvirt_domain), where the guest has the driver",
        ("domain",),
    ),
    Check(
        "vcpus fit the host",
        WARNING,
        _too_many,
        "The machine has {vcpus} vcpus, and the host {cpus} cpus",
        "vcpu of the domain; /proc/cpuinfo",
        "A vcpu that holds a lock waits for its turn, and the others spin: more vcpus make it slower.",
        "vcpus: {cpus} or less of strata.virt.libvirt_domain",
        ("domain",),
    ),
)

TOPIC = Topic(vm.read, CHECKS, ("vm",))
