# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a virtual machine, told from its XML, its log and the files that it stands on."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.engines.hostfiles import Answer
from ansible_collections.strata.virt.plugins.module_utils.troubles import qemu_log
from ansible_collections.strata.virt.plugins.module_utils.troubles.vm_checks import TOPIC

VIRSH = "virsh --quiet --connect qemu:///system --readonly"
STATE, XML = f"{VIRSH} domstate --reason vm1", f"{VIRSH} dumpxml vm1"
IMAGES = "/var/lib/libvirt/images"
LOG = "/var/log/libvirt/qemu/vm1.log"
SOCKET = "/run/libvirt/libvirt-sock"
JOURNAL = "journalctl --quiet --no-pager --output=cat --since=@1763996400"
START = "2025-11-24 15:00:00.000+0000: starting up libvirt version: 11.3.0, package: 11.3.0-3, qemu version: 10.0.2\n"

DOMAIN = """
<domain type='kvm'>
  <name>vm1</name>
  <uuid>0d1f0000-0000-4000-8000-000000000001</uuid>
  <memory unit='KiB'>1048576</memory>
  <vcpu placement='static'>2</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-10.0'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/CODE.fd</loader>
  </os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/vm1.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
    <interface type='network'>
      <mac address='52:54:00:AA:00:01'/>
      <source network='lan' bridge='virbr7'/>
      <target dev='vnet0'/>
      <model type='virtio'/>
    </interface>
  </devices>
</domain>
"""
NETWORK = """<network><name>lan</name><bridge name='virbr7'/>
<ip address='198.51.100.1' netmask='255.255.255.0'><dhcp><range start='198.51.100.2' end='198.51.100.254'/></dhcp></ip>
</network>"""
LEASES = '[{"ip-address": "198.51.100.9", "mac-address": "52:54:00:aa:00:01", "expiry-time": %d}]'
REFUSED = (
    'audit: type=1400 audit(1763999000.123:41): apparmor="DENIED" operation="open" class="file" '
    'profile="libvirt-0d1f0000-0000-4000-8000-000000000001" '
    'name="/srv/x.qcow2" pid=1 comm="qemu-system-x86" requested_mask="r" denied_mask="r" fsuid=64055 ouid=0\n'
)


def qcow2(backing: str = "", version: int = 3) -> bytes:
    name = backing.encode()
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", version, 512 if name else 0, len(name), 16, 1 << 20)
    return head.ljust(512, b"\0") + name.ljust(512, b"\0")


@pytest.fixture
def sound(host):
    """A machine that runs, with KVM, on a network where it has a lease."""
    host.sayings = {STATE: "running (booted)\n", XML: DOMAIN}
    host.write("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vmx\nprocessor\t: 1\nflags\t\t: fpu vmx\n")
    host.write("/proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable:    4000000 kB\n")
    host.write("/sys/class/misc/kvm/dev")
    host.write("/dev/kvm")
    host.device = Answer({"value": 12})
    host.write("/usr/sbin/libvirtd")
    host.sayings["libvirtd --version"] = "libvirtd (libvirt) 11.3.0\n"
    host.write(SOCKET)
    host.answers[SOCKET, None] = Answer({})
    host.write(
        "/etc/passwd", "root:x:0:0::/root:/bin/bash\nlibvirt-qemu:x:64055:109::/var/lib/libvirt:/usr/sbin/nologin\n"
    )
    host.write(f"{IMAGES}/vm1.qcow2", qcow2("base.qcow2"))
    host.write(f"{IMAGES}/base.qcow2", qcow2())
    host.write("/usr/share/OVMF/CODE.fd")
    host.write("/etc/libvirt/qemu/networks/lan.xml", NETWORK)
    host.write("/run/libvirt/network/lan.xml")
    host.write("/run/libvirt/network/lan.pid", "77\n")
    host.write("/proc/77/comm", "dnsmasq\n")
    host.write("/var/lib/libvirt/dnsmasq/virbr7.status", LEASES % 1_764_003_600)
    host.write("/sys/class/net/vnet0/master")
    host.remove("/sys/class/net/vnet0/master")
    host.points_at = lambda path: "virbr7" if path == "/sys/class/net/vnet0/master" else None
    host.write(LOG, f"{START}qemu-system-x86_64: Could not open '/old': Permission denied\nshutting down\n{START}")
    host.write("/etc/libvirt/qemu/vm1.xml", DOMAIN)
    host.sayings["dmesg"] = "e1000: eth0 NIC Link is Up\n"
    return host


def said(words: str, text: str):
    return lambda host: host.sayings.__setitem__(words, text)


def domain(old: str, new: str):
    return lambda host: host.sayings.__setitem__(XML, DOMAIN.replace(old, new))


def off(old: str = "", new: str = "", reason: str = "shutdown"):
    """The machine is off, as somebody wanted, and something of it is changed."""

    def edit(host) -> None:
        host.sayings[STATE] = f"shut off ({reason})\n"
        host.sayings[XML] = DOMAIN.replace(old, new)

    return edit


def without_kvm(host) -> None:
    host.device = Answer({}, "Permission denied")


def unreachable(host) -> None:
    host.owners[IMAGES] = (0o711, 0, 0)
    host.owners["/var/lib/libvirt"] = (0o700, 0, 0)


def failed(host) -> None:
    off(reason="failed")(host)
    host.write(
        LOG, f"{START}2025-11-24T15:00:00Z qemu-system-x86_64: Could not open '{IMAGES}/vm1.qcow2': Permission denied\n"
    )


HUGE = "</memory><memoryBacking><hugepages><page size='1048576' unit='KiB'/></hugepages></memoryBacking>"
OFF = "nobody switched the machine off"

FAULTS = [
    ("KVM is usable", without_kvm, {"the type of the machine can be had"}, "this user may not open /dev/kvm"),
    ("the type of the machine can be had", without_kvm, {"KVM is usable"}, "vm1 is of type kvm"),
    ("libvirt answers", lambda host: host.answers.clear(), set(), "does not answer"),
    ("nothing stopped the machine", said(STATE, "paused (I/O error)\n"), set(), "vm1 is paused: I/O error"),
    ("nothing stopped the machine", off(reason="crashed"), set(), "vm1 is shut off: crashed"),
    ("nobody switched the machine off", off(), set(), "vm1 is shut off: shutdown"),
    (
        "QEMU and libvirt report no error",
        failed,
        {"nothing stopped the machine"},
        f"QEMU may not open {IMAGES}/vm1.qcow2",
    ),
    ("AppArmor refused the machine nothing", said(f"{JOURNAL} _TRANSPORT=kernel", REFUSED), set(), "/srv/x.qcow2"),
    (
        "disks and their backing files are there",
        lambda host: host.remove(f"{IMAGES}/vm1.qcow2"),
        set(),
        f"{IMAGES}/vm1.qcow2, of the disk vda, is not there",
    ),
    (
        "disks and their backing files are there",
        lambda host: host.remove(f"{IMAGES}/base.qcow2"),
        set(),
        f"{IMAGES}/base.qcow2, of the disk vda, is not there",
    ),
    (
        "disks can be read",
        lambda host: host.write(f"{IMAGES}/base.qcow2", qcow2()[:60] + struct.pack(">IQ", 9, 4096) + bytes(440)),
        set(),
        "is a damaged qcow2 image",
    ),
    ("QEMU's user may pass to the disks", unreachable, set(), "libvirt-qemu, as whom QEMU runs, may not pass"),
    ("huge pages are free", off("</memory>", HUGE), {OFF}, "needs 1 huge pages of 1G, and 0 are free"),
    ("memory is free", off(">1048576<", ">8388608<"), {OFF}, "is to have 8G, and the host has 3906M"),
    (
        "networks of the machine are active",
        lambda host: host.remove("/run/libvirt/network/lan.xml"),
        set(),
        "lan of vm1 is defined and not active",
    ),
    (
        "networks of the machine are active",
        domain("network='lan'", "network='dmz'"),
        set(),
        "dmz of vm1 is not defined",
    ),
    (
        "interfaces are plugged in",
        lambda host: setattr(host, "points_at", lambda path: None),
        set(),
        "vnet0, the interface 52:54:00:aa:00:01 of vm1",
    ),
    (
        "interfaces have a lease",
        lambda host: host.write("/var/lib/libvirt/dnsmasq/virbr7.status", LEASES % 1_763_000_000),
        set(),
        "52:54:00:aa:00:01 of vm1 has no lease",
    ),
    ("the firmware is there", lambda host: host.remove("/usr/share/OVMF/CODE.fd"), set(), "/usr/share/OVMF/CODE.fd"),
    ("the machine uses the KVM that there is", domain("type='kvm'", "type='qemu'"), set(), "vm1 is emulated"),
    ("devices are virtio", domain("bus='virtio'", "bus='ide'"), set(), "The disk vda"),
    ("devices are virtio", domain("model type='virtio'", "model type='e1000'"), set(), "The interface 52:54"),
    ("vcpus fit the host", domain(">2</vcpu>", ">4</vcpu>"), set(), "4 vcpus, and the host 2"),
]


def test_nothing_is_wrong(sound, told):
    result = told(TOPIC, sound, vm="vm1")
    assert result["findings"] == []
    assert set(result["unchecked"].values()) == {"the machine runs"}


@pytest.mark.parametrize(("name", "break_it", "along", "what"), FAULTS)
def test_a_fault_is_found_and_nothing_else(sound, told, name, break_it, along, what):
    break_it(sound)
    found = told(TOPIC, sound, vm="vm1")["by_name"]
    assert set(found) == {name} | along
    assert what in found[name][0]["what"]


def test_a_machine_that_is_off_has_no_interfaces(sound, told):
    off()(sound)
    result = told(TOPIC, sound, vm="vm1")
    assert result["unchecked"]["interfaces have a lease"] == "the machine does not run"
    assert {"huge pages are free", "memory is free"} <= set(result["passed"])


def test_a_machine_that_there_is_not(sound, told):
    result = told(TOPIC, sound, vm="vm2")
    (finding,) = result["by_name"]["the machine is known"]
    assert "defined are: vm1" in finding["evidence"]
    assert "no definition of vm2" in result["unchecked"]["devices are virtio"]
    with pytest.raises(StrataError, match="no name of a domain"):
        told(TOPIC, sound, vm="../etc")


def test_every_check_is_tested():
    assert {name for name, *_others in FAULTS} | {"the machine is known"} == {check.name for check in TOPIC.checks}


def test_without_libvirt_the_files_still_tell(sound, told):
    del sound.sayings[STATE], sound.sayings[XML]
    sound.answers.clear()
    sound.remove(f"{IMAGES}/base.qcow2")
    result = told(TOPIC, sound, vm="vm1")
    assert "virsh does not tell its state" in result["unchecked"]["nothing stopped the machine"]
    assert set(result["by_name"]) == {
        "libvirt answers",
        "disks and their backing files are there",
    }


def test_of_the_daemon_only_what_is_about_the_machine_counts(sound, told):
    off(reason="failed")(sound)
    units = "--unit=libvirtd --unit=virtqemud --unit=virtnetworkd"
    line = "Cannot access storage file '{}' (as uid:64055, gid:64055): Permission denied\n"
    sound.sayings[f"{JOURNAL} {units}"] = line.format("/srv/other.qcow2") + line.format(f"{IMAGES}/base.qcow2")
    (finding,) = told(TOPIC, sound, vm="vm1")["by_name"]["QEMU and libvirt report no error"]
    assert finding["what"] == f"QEMU may not open {IMAGES}/base.qcow2"


def test_without_a_machine_only_the_host_is_looked_at(sound, told):
    result = told(TOPIC, sound)
    assert set(result["passed"]) == {"KVM is usable", "libvirt answers"}
    assert set(result["unchecked"].values()) == {"no vm was named"}


def test_logs_are_not_passed_over_where_only_root_reads_them(sound, told):
    assert "use become" in told(TOPIC, sound, vm="vm1", root=False)["unchecked"]["QEMU and libvirt report no error"]
    del sound.sayings["dmesg"]
    assert "dmesg" in told(TOPIC, sound, vm="vm1")["unchecked"]["AppArmor refused the machine nothing"]


def test_a_plain_user_does_not_say_that_there_is_no_machine(sound, told):
    assert "use become" in told(TOPIC, sound, vm="vm2", root=False)["unchecked"]["the machine is known"]


def test_what_another_machine_was_refused_is_not_told(sound, told):
    sound.sayings[f"{JOURNAL} _TRANSPORT=kernel"] = REFUSED.replace("libvirt-0d1f", "libvirt-ffff")
    assert told(TOPIC, sound, vm="vm1")["findings"] == []


def test_the_kernel_that_killed_it_is_told_and_its_other_words_are_not(sound, told):
    off(reason="crashed")(sound)
    killed = "Out of memory: Killed process 4711 (qemu-system-x86) total-vm:9000000kB"
    sound.sayings[f"{JOURNAL} _TRANSPORT=kernel"] = f"loop0: No space left on device\n{killed}\n"
    (finding,) = told(TOPIC, sound, vm="vm1")["by_name"]["QEMU and libvirt report no error"]
    assert finding["what"].startswith("The kernel killed a QEMU")


# In the words of QEMU, libvirt and the kernel; those about disks are also provoked by targets/troubleshoot.
SAID = [
    (
        "qemu-system-x86_64: -blockdev {}: Could not open '/srv/a.qcow2': Permission denied",
        "QEMU may not open /srv/a.qcow2",
    ),
    (
        'qemu-system-x86_64: -device {}: Failed to get "write" lock\n'
        "Is another process using the image [/srv/a.qcow2]?",
        "Another process has a disk of the machine open (lock: write) /srv/a.qcow2",
    ),
    (
        "qemu-system-x86_64: -blockdev {}: Could not open backing file: Could not open '/srv/b.qcow2': "
        "No such file or directory",
        "The backing file /srv/b.qcow2 of a disk is missing",
    ),
    (
        "Cannot access backing file '/srv/b.qcow2' of storage file '/srv/a.qcow2' (as uid:64055, gid:64055): No such "
        "file or directory",
        "The backing file /srv/b.qcow2 of a disk is missing",
    ),
    (
        "Cannot access storage file '/srv/a.qcow2' (as uid:64055, gid:64055): Permission denied",
        "QEMU may not open /srv/a.qcow2",
    ),
    (
        "error : Cannot access storage file '/srv/a.qcow2' (as uid:64055): No such file or directory",
        "The disk /srv/a.qcow2",
    ),
    ('qemu-system-x86_64: unsupported machine type: "pc-i440fx-9.9"', "This QEMU has no machine type pc-i440fx-9.9"),
    (
        "unsupported configuration: Emulator '/usr/bin/qemu-system-x86_64' does not support machine type 'pc-q35-11.0'",
        "This QEMU has no machine type pc-q35-11.0",
    ),
    (
        "qemu-system-x86_64: unable to map backing store for guest RAM: Cannot allocate memory",
        "There are not enough free huge pages",
    ),
    ("qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory", "The host has not the memory"),
    ("Requested operation is not valid: network 'lan' is not active", "The network lan of the machine is not active"),
    (
        "operation failed: Unable to find 'efi' firmware that is compatible with the current configuration",
        "The firmware",
    ),
    ("qemu: could not load PC BIOS 'bios-256k.bin'", "The firmware that the machine boots by"),
    ("Could not access KVM kernel module: No such file or directory", "QEMU can't use KVM: No such file or directory"),
    ("the CPU is incompatible with host CPU: Host CPU does not provide required features: avx512f", "The processor of"),
    ("qemu-system-x86_64: -vnc 127.0.0.1:0: Failed to find an available port: Address already in use", "A port that"),
    ("error : Cannot get interface MTU on 'br7': No such device", "The bridge br7 that the machine"),
    ("block I/O error in device 'vda': No space left on device (28)", "The disk below the machine's disks is full"),
    ("qcow2: Marking image as corrupt: Image is corrupt", "A disk image is damaged"),
    (
        "Out of memory: Killed process 4711 (qemu-system-x86) total-vm:9000000kB",
        "The kernel killed a QEMU (qemu-system-x86)",
    ),
    ("qemu-system-x86_64: -device vfio-pci: vfio 0000:01:00.0: group 7 is not viable", "A device can't be handed"),
]


@pytest.mark.parametrize(("text", "what"), SAID)
def test_errors_that_are_known(text, what):
    (found,) = qemu_log.explained(f"2025-11-24: something else\n{text}\n")
    assert found["what"].startswith(what)
    assert found["line"] == text.splitlines()[0]


def test_each_known_error_is_tested():
    told = {found["why"] for text, _what in SAID for found in qemu_log.explained(text)}
    assert len(told) == len(qemu_log.SAYINGS)


def test_an_error_is_told_once():
    text = "\n".join([SAID[0][0], SAID[0][0], "all is well"])
    assert len(list(qemu_log.explained(text))) == 1


def test_only_the_last_run_counts():
    assert qemu_log.last_run(f"{START}old\n{START}new\n") == f"{START}new"
