# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's other devices."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  console_log:
    description:
      - A file on the host that the first serial port is logged to.
    type: str
  hostdevs:
    description:
      - Devices of the host that are the guest's alone. They come and go while it runs.
    type: list
    elements: dict
    suboptions:
      pci:
        description: A device by its address, as V(0000:03:00.0).
        type: str
      usb:
        description: A device by its vendor and product, as V(046d:c52b).
        type: str
      managed:
        description: libvirt takes it from its driver when the domain starts, and gives it back.
        type: bool
      boot_order:
        description: When it is tried, from 1.
        type: int
  guest_agent:
    description:
      - The channel of C(qemu-guest-agent), which has to be installed in the guest.
    type: bool
  channels:
    description:
      - Other channels to the guest. They come and go while it runs.
    type: list
    elements: dict
    suboptions:
      name:
        description: What the guest knows it by, as V(com.redhat.spice.0).
        type: str
        required: true
      type:
        description: What is at the host's end.
        type: str
        choices: [unix, spicevmc, pty, qemu-vdagent]
      path:
        description: The socket, with O(channels[].type=unix). Without it libvirt chooses one.
        type: str
  graphics:
    description:
      - Its screens.
    type: list
    elements: dict
    suboptions:
      type:
        description: How it is shown.
        type: str
        choices: [vnc, spice]
        required: true
      listen:
        description: The address that it listens on. libvirt's own choice is 127.0.0.1.
        type: str
      port:
        description: Its port. Without it, the first that is free.
        type: int
      websocket:
        description: The port of its websocket, for V(vnc).
        type: int
      keymap:
        description: The keyboard, as V(de).
        type: str
      password:
        description: What it asks for. It changes while the domain runs, and is never shown.
        type: str
  filesystems:
    description:
      - Folders of the host that the guest can mount.
    type: list
    elements: dict
    suboptions:
      target:
        description: The tag that the guest mounts it by.
        type: str
        required: true
      source:
        description: The folder.
        type: str
        required: true
      driver:
        description: V(virtiofs) needs O(memory_backing.access=shared); V(path) is 9p.
        type: str
        choices: [path, virtiofs]
      access_mode:
        description: Whose its files are.
        type: str
        choices: [passthrough, mapped, squash]
      queue:
        description: How many requests it may hold, with V(virtiofs).
        type: int
      read_only:
        description: The guest can't write.
        type: bool
  serial:
    description:
      - Its first serial port, which is its console, too.
    type: dict
    suboptions:
      type:
        description: What is at the host's end.
        type: str
        choices: [pty, file, unix, 'null', stdio]
      path:
        description: The file or the socket.
        type: str
  video:
    description:
      - Its first graphics card.
    type: dict
    suboptions:
      model:
        description: The card, as V(virtio), V(vga), V(bochs), V(qxl) or V(none).
        type: str
        required: true
      vram:
        description: Its memory in KiB, where it has some.
        type: int
      heads:
        description: How many screens it has.
        type: int
  rng:
    description:
      - A source of randomness.
    type: dict
    suboptions:
      model:
        description: The device.
        type: str
        choices: [virtio, virtio-transitional, virtio-non-transitional]
      backend:
        description: Where it comes from.
        type: str
        choices: [random, builtin]
      device:
        description: The device of the host, as V(/dev/urandom), with O(rng.backend=random).
        type: str
      rate_bytes:
        description: The most bytes in each period.
        type: int
      rate_period:
        description: The period, in milliseconds.
        type: int
  watchdog:
    description:
      - What happens when the guest has stopped telling that it is well. The one that every V(q35) has does the same.
    type: dict
    suboptions:
      model:
        description: The device.
        type: str
        choices: [i6300esb, ib700, diag288]
      action:
        description: What is done.
        type: str
        choices: [reset, shutdown, poweroff, pause, none, dump, inject-nmi]
  tpm:
    description:
      - A trusted platform module.
    type: dict
    suboptions:
      model:
        description: The device.
        type: str
        choices: [tpm-tis, tpm-crb]
      backend:
        description: V(emulator) needs swtpm on the host.
        type: str
        choices: [emulator, passthrough]
      version:
        description: Its version, with V(emulator).
        type: str
        choices: ['1.2', '2.0']
      device:
        description: The device of the host, with V(passthrough).
        type: str
  balloon:
    description:
      - What takes memory from the guest and gives it back. A domain has one unless its model is V(none).
    type: dict
    suboptions:
      model:
        description: The device.
        type: str
        choices: [virtio, none]
      autodeflate:
        description: It lets go before the guest kills something for want of memory.
        type: bool
      free_page_reporting:
        description: The guest tells which pages it doesn't use.
        type: bool
      stats_period:
        description: How often the guest tells how its memory is used, in seconds.
        type: int
  vsock:
    description:
      - Sockets between the host and the guest.
    type: dict
    suboptions:
      model:
        description: The device.
        type: str
        choices: [virtio]
      auto_cid:
        description: libvirt chooses its address.
        type: bool
      cid:
        description: Its address, from 3.
        type: int
"""
