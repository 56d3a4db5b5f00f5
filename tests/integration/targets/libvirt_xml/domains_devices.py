# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains as people have them: all other devices."""

from __future__ import annotations

DEVICES = {
    "host-devices": """
<domain type='qemu'>
  <name>host-devices</name>
  <memory unit='MiB'>128</memory>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <devices>
    <hostdev mode='subsystem' type='usb'>
      <source startupPolicy='optional' guestReset='off'>
        <vendor id='0x1234'/>
        <product id='0xbeef'/>
      </source>
      <boot order='2'/>
    </hostdev>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source>
        <address domain='0x0000' bus='0x06' slot='0x02' function='0x0'/>
      </source>
      <boot order='1'/>
      <rom bar='on' file='/etc/fake/boot.bin'/>
    </hostdev>
    <hostdev mode='subsystem' type='scsi' sgio='filtered' rawio='yes'>
      <source>
        <adapter name='scsi_host0'/>
        <address bus='0' target='0' unit='0'/>
      </source>
      <readonly/>
      <address type='drive' controller='0' bus='0' target='0' unit='0'/>
    </hostdev>
    <hostdev mode='subsystem' type='scsi_host'>
      <source protocol='vhost' wwpn='naa.50014057667280d8'/>
    </hostdev>
    <hostdev mode='subsystem' type='mdev' model='vfio-pci'>
      <source>
        <address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/>
      </source>
    </hostdev>
    <redirdev bus='usb' type='tcp'>
      <source mode='connect' host='localhost' service='4000'/>
      <boot order='3'/>
    </redirdev>
    <redirfilter>
      <usbdev class='0x08' vendor='0x1234' product='0xBEEF' version='2.56' allow='yes'/>
      <usbdev allow='no'/>
    </redirfilter>
    <smartcard mode='host'/>
    <hub type='usb'/>
    <tpm model='tpm-crb'>
      <backend type='passthrough'>
        <device path='/dev/tpm0'/>
      </backend>
    </tpm>
    <rng model='virtio'>
      <rate period="2000" bytes="1234"/>
      <backend model='random'>/dev/random</backend>
    </rng>
    <rng model='virtio'>
      <backend model='egd' type='udp'>
        <source mode='bind' service='1234'/>
        <source mode='connect' host='192.0.2.1' service='1234'/>
      </backend>
    </rng>
    <memballoon model='virtio' autodeflate='on' freePageReporting='on'>
      <stats period='10'/>
    </memballoon>
    <vsock model='virtio'>
      <cid auto='no' address='3'/>
    </vsock>
    <shmem name='my_shmem0' role='peer'>
      <model type='ivshmem-plain'/>
      <size unit='M'>4</size>
    </shmem>
    <iommu model='intel'>
      <driver intremap='on'/>
    </iommu>
  </devices>
  <features>
    <ioapic driver='qemu'/>
  </features>
</domain>""",
    "seen-and-heard": """
<domain type='qemu'>
  <name>seen-and-heard</name>
  <memory unit='MiB'>256</memory>
  <features>
    <acpi/>
  </features>
  <os firmware='efi'>
    <type arch='x86_64' machine='q35'>hvm</type>
    <firmware>
      <feature enabled='no' name='secure-boot'/>
    </firmware>
  </os>
  <devices>
    <input type='mouse' bus='usb'/>
    <input type='keyboard' bus='virtio'/>
    <input type='tablet' bus='virtio'/>
    <input type='passthrough' bus='virtio'>
      <source evdev='/dev/input/event1'/>
    </input>
    <graphics type='vnc' port='5904' autoport='no' websocket='5700' keymap='de'>
      <listen type='address' address='1.2.3.4'/>
    </graphics>
    <graphics type='egl-headless'/>
    <video>
      <model type='virtio' heads='1' primary='yes'>
        <resolution x='1920' y='1080'/>
      </model>
    </video>
    <video>
      <model type='virtio' heads='2'/>
    </video>
    <sound model='ich9'>
      <codec type='micro'/>
      <audio id='1'/>
    </sound>
    <sound model='usb'/>
    <audio id='1' type='none'/>
    <serial type='file'>
      <source path='/tmp/serial0.log' append='on'/>
      <target port='0'/>
    </serial>
    <serial type='tcp'>
      <source mode='bind' host='127.0.0.1' service='2445'/>
      <protocol type='telnet'/>
      <target type='isa-serial' port='1'>
        <model name='isa-serial'/>
      </target>
    </serial>
    <serial type='unix'>
      <source mode='bind' path='/tmp/foo'/>
      <log file='/var/log/libvirt/qemu/guestname-serial.log' append='off'/>
    </serial>
    <parallel type='pty'/>
    <console type='pty'>
      <target type='virtio' port='5'/>
    </console>
    <channel type='unix'>
      <source mode='bind' path='/tmp/guestfwd'/>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <channel type='unix'>
      <target type='virtio' name='org.example.kind.1'/>
    </channel>
    <channel type='pty'>
      <target type='virtio' name='arbitrary.virtio.serial.port.name'/>
    </channel>
    <channel type='unix'>
      <source mode='bind' path='/tmp/fwd'/>
      <target type='guestfwd' address='10.0.2.1' port='4600'/>
    </channel>
    <filesystem type='mount' accessmode='passthrough'>
      <driver type='path' wrpolicy='immediate'/>
      <source dir='/export/to/guest'/>
      <target dir='/import/from/host'/>
      <readonly/>
    </filesystem>
    <filesystem type='mount' accessmode='mapped' multidevs='remap'>
      <source dir='/export/to/guest2'/>
      <target dir='second'/>
    </filesystem>
    <filesystem type='mount'>
      <driver type='virtiofs' queue='1024'/>
      <binary path='/usr/libexec/virtiofsd' xattr='on'>
        <cache mode='always'/>
      </binary>
      <source dir='/path'/>
      <target dir='mount_tag'/>
    </filesystem>
    <controller type='usb' index='0' model='qemu-xhci' ports='8'/>
    <controller type='virtio-serial' index='0' ports='16' vectors='4'/>
    <controller type='pci' model='pcie-root'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
  </devices>
  <memoryBacking>
    <source type='memfd'/>
    <access mode='shared'/>
  </memoryBacking>
  <seclabel type='none'/>
</domain>""",
}
