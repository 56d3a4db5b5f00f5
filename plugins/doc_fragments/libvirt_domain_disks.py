# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's disks."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  disks:
    description:
      - Its disks of files, block devices and volumes and over a network, in the order that new ones are named in. Other
        disks are left alone.
      - Taking a disk out of the list takes it from the domain; what is on it stays.
      - A disk is told from the others by its source, a C(cdrom) by its O(disks[].target), whatever is in it.
    type: list
    elements: dict
    suboptions:
      file:
        description: The image, or a block device below C(/dev). It must exist.
        type: str
      pool:
        description: The pool of O(disks[].volume).
        type: str
      volume:
        description:
          - A volume of a pool. It must exist.
          - Where AppArmor confines QEMU, the domain is given its file instead, since libvirt's helper allows no other.
        type: str
      network:
        description: A disk over a network.
        type: dict
        suboptions:
          protocol:
            description: How it is reached, as V(nbd), V(rbd), V(iscsi), V(https).
            type: str
            required: true
          name:
            description: What it is called there.
            type: str
          hosts:
            description: Who has it, as C(HOST:PORT).
            type: list
            elements: str
      bus:
        description: A new disk is V(virtio), a new V(cdrom) V(sata).
        type: str
        choices: [virtio, scsi, sata, ide, usb]
      cache:
        description: How the host caches it.
        type: str
        choices: [default, none, writeback, writethrough, directsync, unsafe]
      discard:
        description: Whether blocks that the guest discards are given back.
        type: str
        choices: [ignore, unmap]
      detect_zeroes:
        description: Whether blocks of zeroes are told from others, and given back.
        type: str
        choices: ['off', 'on', unmap]
      io:
        description: How requests are passed to the host. V(native) needs O(disks[].cache) of V(none) or V(directsync).
        type: str
        choices: [threads, native, io_uring]
      iothread:
        description: Which of O(iothreads) serves it, from 1. For virtio.
        type: int
      queues:
        description: How many queues a virtio disk has.
        type: int
      device:
        description: A new one is a V(disk). A V(cdrom) may be empty.
        type: str
        choices: [disk, cdrom, lun]
      format:
        description: A new one is V(qcow2) where the name ends so, else V(raw). What is in the file is never looked at.
        type: str
        choices: [qcow2, raw]
      serial:
        description: The serial number that the guest sees.
        type: str
      boot_order:
        description: When it is tried, from 1.
        type: int
      read_only:
        description: The guest can't write.
        type: bool
      shareable:
        description: Other domains may use it at the same time.
        type: bool
      target:
        description: The name within libvirt, such as V(vda). A new one gets the first that is free.
        type: str
      iotune:
        description: The most that goes through it. Changes while it runs; V(0) is no limit, and so is what isn't given.
        type: dict
        suboptions:
          total_bytes_sec:
            description: Bytes a second.
            type: int
          read_bytes_sec:
            description: Bytes read a second.
            type: int
          write_bytes_sec:
            description: Bytes written a second.
            type: int
          total_iops_sec:
            description: Requests a second.
            type: int
          read_iops_sec:
            description: Reads a second.
            type: int
          write_iops_sec:
            description: Writes a second.
            type: int
          total_bytes_sec_max:
            description: Bytes a second, for a moment.
            type: int
          read_bytes_sec_max:
            description: Bytes read a second, for a moment.
            type: int
          write_bytes_sec_max:
            description: Bytes written a second, for a moment.
            type: int
          total_iops_sec_max:
            description: Requests a second, for a moment.
            type: int
          read_iops_sec_max:
            description: Reads a second, for a moment.
            type: int
          write_iops_sec_max:
            description: Writes a second, for a moment.
            type: int
  cloud_init:
    description:
      - What cloud-init does at the first boot, as M(strata.virt.cloud_init_seed) makes a seed of it. The seed is kept
        below C(/var/lib/strata/libvirt/seeds) and goes with the domain, which has it as a virtio disk of its own.
      - Another content is another instance, for which cloud-init starts over. It takes a restart.
    type: dict
    suboptions:
      user_data:
        description:
          - A mapping is cloud-config; a text is what its first line says. SSH takes no passwords unless C(ssh_pwauth)
            is set.
        type: raw
        required: true
      vendor_data:
        description: The same from whoever runs the host; what the user says comes after it.
        type: raw
      meta_data:
        description: What the instance is, as C(local-hostname).
        type: dict
      network_config:
        description: Its network, in version 1 or 2 of cloud-init's own words.
        type: dict
      instance_id:
        description: Which instance it is. Without it, one is made of the content.
        type: str
"""
