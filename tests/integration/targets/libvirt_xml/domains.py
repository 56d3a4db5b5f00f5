# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains as people have them: in the forms that libvirt's documentation, tutorials and ``virsh dumpxml`` show."""

from __future__ import annotations

DOMAINS = {
    "smallest": """
<domain type='qemu'>
  <name>smallest</name>
  <memory>131072</memory>
  <os>
    <type>hvm</type>
  </os>
</domain>""",
    "qemu-guest": """
<domain type='qemu'>
  <name>qemu-guest</name>
  <uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid>
  <memory>219200</memory>
  <currentMemory>219200</currentMemory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <boot dev='cdrom'/>
  </os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='cdrom'>
      <source file='/home/user/boot.iso'/>
      <target dev='hdc'/>
      <readonly/>
    </disk>
    <disk type='file' device='disk'>
      <source file='/home/user/fedora.img'/>
      <target dev='hda'/>
    </disk>
    <interface type='network'>
      <source network='default'/>
    </interface>
    <graphics type='vnc' port='-1'/>
  </devices>
</domain>""",
    "kvm-guest": """
<domain type='kvm'>
  <name>kvm-guest</name>
  <uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid>
  <title>A short description - title - of the domain</title>
  <description>Some human readable description</description>
  <metadata>
    <app1:foo xmlns:app1="http://app1.org/app1/">..</app1:foo>
    <app2:bar xmlns:app2="http://app1.org/app2/" b='c'><app2:baz>1</app2:baz></app2:bar>
  </metadata>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch="x86_64" machine="q35">hvm</type>
    <bootmenu enable='yes' timeout='3000'/>
    <smbios mode='sysinfo'/>
    <bios useserial='yes' rebootTimeout='0'/>
  </os>
  <sysinfo type='smbios'>
    <bios>
      <entry name='vendor'>LENOVO</entry>
    </bios>
    <system>
      <entry name='manufacturer'>Fedora</entry>
      <entry name='product'>Virt-Manager</entry>
      <entry name='uuid'>4DEA22B3-1D52-D8F3-2516-782E98AB3FA0</entry>
    </system>
    <baseBoard>
      <entry name='manufacturer'>LENOVO</entry>
      <entry name='serial'>20BE0061MC</entry>
    </baseBoard>
    <chassis>
      <entry name='manufacturer'>Dell Inc.</entry>
    </chassis>
    <oemStrings>
      <entry>myappname:some arbitrary data</entry>
      <entry>otherappname:more arbitrary data</entry>
    </oemStrings>
  </sysinfo>
  <clock offset="localtime"/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>preserve</on_crash>
  <pm>
    <suspend-to-disk enabled='no'/>
    <suspend-to-mem enabled='yes'/>
  </pm>
  <devices>
    <serial type='pty'>
      <target port='0'/>
    </serial>
    <console type='pty'>
      <target type='serial' port='0'/>
    </console>
    <graphics type='vnc' port='5999' sharePolicy='allow-exclusive' passwd='horse'>
      <listen type='address' address='127.0.0.1'/>
    </graphics>
  </devices>
</domain>""",
    "direct-boot": """
<domain type='qemu'>
  <name>direct-boot</name>
  <memory unit='KiB'>262144</memory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='x86_64'>hvm</type>
    <kernel>/root/f8-i386-vmlinuz</kernel>
    <initrd>/root/f8-i386-initrd</initrd>
    <cmdline>console=ttyS0 ks=http://example.com/f8-i386/os/</cmdline>
  </os>
  <features>
    <acpi/>
    <apic/>
    <pae/>
    <kvm>
      <hidden state='on'/>
    </kvm>
    <hyperv mode='custom'>
      <relaxed state='on'/>
      <vapic state='on'/>
      <spinlocks state='on' retries='4096'/>
      <vendor_id state='on' value='KVM Hv'/>
      <synic state='on'/>
    </hyperv>
    <pvspinlock state='on'/>
    <pmu state='off'/>
    <vmport state='off'/>
    <vmcoreinfo state='on'/>
  </features>
  <clock offset='variable' adjustment='123456' basis='utc'>
    <timer name='rtc' tickpolicy='catchup' track='guest'>
      <catchup threshold='123' slew='120' limit='10000'/>
    </timer>
    <timer name='pit' tickpolicy='delay'/>
    <timer name='hpet' present='no'/>
    <timer name='kvmclock' present='yes'/>
    <timer name='hypervclock' present='yes'/>
  </clock>
  <perf>
    <event name='cmt' enabled='no'/>
  </perf>
  <devices>
    <watchdog model='i6300esb' action='poweroff'/>
    <panic model='isa'>
      <address type='isa' iobase='0x505'/>
    </panic>
  </devices>
</domain>""",
    "tuned": """
<domain type='qemu'>
  <name>tuned</name>
  <memory unit='KiB'>524288</memory>
  <currentMemory unit='KiB'>262144</currentMemory>
  <vcpu placement='static' cpuset="1-4,^3,6" current="1">2</vcpu>
  <iothreads>4</iothreads>
  <iothreadids>
    <iothread id="2"/>
    <iothread id="4"/>
    <iothread id="6"/>
    <iothread id="8"/>
  </iothreadids>
  <cputune>
    <vcpupin vcpu="0" cpuset="1-4,^2"/>
    <vcpupin vcpu="1" cpuset="0,1"/>
    <emulatorpin cpuset="1-3"/>
    <iothreadpin iothread="2" cpuset="5,6"/>
    <shares>2048</shares>
    <period>1000000</period>
    <quota>-1</quota>
    <global_period>1000000</global_period>
    <global_quota>-1</global_quota>
    <emulator_period>1000000</emulator_period>
    <emulator_quota>-1</emulator_quota>
    <iothread_period>1000000</iothread_period>
    <iothread_quota>-1</iothread_quota>
    <vcpusched vcpus='0-1' scheduler='fifo' priority='1'/>
    <iothreadsched iothreads='2' scheduler='batch'/>
  </cputune>
  <memtune>
    <hard_limit unit='G'>1</hard_limit>
    <soft_limit unit='M'>128</soft_limit>
    <swap_hard_limit unit='G'>2</swap_hard_limit>
  </memtune>
  <blkiotune>
    <weight>800</weight>
    <device>
      <path>/dev/sda</path>
      <weight>1000</weight>
    </device>
    <device>
      <path>/dev/sdb</path>
      <read_bytes_sec>10000</read_bytes_sec>
      <write_iops_sec>20000</write_iops_sec>
    </device>
  </blkiotune>
  <memoryBacking>
    <nosharepages/>
    <locked/>
    <source type="file"/>
    <access mode="shared"/>
    <allocation mode="immediate" threads='2'/>
    <discard/>
  </memoryBacking>
  <resource>
    <partition>/machine</partition>
  </resource>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <devices>
    <disk type='block' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='native' iothread='2' queues='4' queue_size='256'/>
      <source dev='/dev/vg/root'/>
      <target dev='vda' bus='virtio'/>
      <iotune>
        <total_bytes_sec>10000000</total_bytes_sec>
        <read_iops_sec>400000</read_iops_sec>
        <write_iops_sec>100000</write_iops_sec>
      </iotune>
    </disk>
  </devices>
</domain>""",
    "nodes": """
<domain type='qemu'>
  <name>nodes</name>
  <maxMemory slots='16' unit='KiB'>1524288</maxMemory>
  <memory unit='KiB'>999999</memory>
  <vcpu>8</vcpu>
  <numatune>
    <memory mode="strict" nodeset="0"/>
    <memnode cellid="0" mode="strict" nodeset="0"/>
    <memnode cellid="1" mode="preferred" nodeset="0"/>
  </numatune>
  <memoryBacking>
    <hugepages>
      <page size="2" unit="M" nodeset="0"/>
      <page size="1" unit="G" nodeset="1"/>
    </hugepages>
  </memoryBacking>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <cpu match='exact' mode='custom'>
    <model fallback='allow'>core2duo</model>
    <vendor>Intel</vendor>
    <topology sockets='2' dies='1' cores='4' threads='1'/>
    <cache level='3' mode='emulate'/>
    <maxphysaddr mode='emulate' bits='42'/>
    <feature policy='disable' name='lahf_lm'/>
    <numa>
      <cell id='0' cpus='0-3' memory='128000' unit='KiB' discard='yes'>
        <distances>
          <sibling id='0' value='10'/>
          <sibling id='1' value='21'/>
        </distances>
      </cell>
      <cell id='1' cpus='4-7' memory='256' unit='MiB' memAccess='shared'>
        <distances>
          <sibling id='0' value='21'/>
          <sibling id='1' value='10'/>
        </distances>
      </cell>
      <interconnects>
        <latency initiator='0' target='0' type='access' value='5'/>
        <bandwidth initiator='0' target='0' type='access' value='204800' unit='KiB'/>
      </interconnects>
    </numa>
  </cpu>
  <devices>
    <memory model='dimm' access='private' discard='yes'>
      <target>
        <size unit='KiB'>524288</size>
        <node>0</node>
      </target>
    </memory>
  </devices>
</domain>""",
    "disks": """
<domain type='qemu'>
  <name>disks</name>
  <memory unit='MiB'>128</memory>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
  </os>
  <devices>
    <disk type='file' snapshot='external'>
      <driver name="qemu" type="qcow2" cache="none" error_policy='stop' discard='unmap' detect_zeroes='unmap' />
      <source file='/var/lib/libvirt/images/disk.qcow2' startupPolicy='optional'>
        <seclabel relabel='no'/>
      </source>
      <target dev='vda' bus='virtio'/>
      <boot order='1'/>
      <serial>WD-WMAP9A966149</serial>
      <alias name='ua-system'/>
    </disk>
    <disk type='file' device='floppy'>
      <source file='/var/lib/libvirt/images/floppy.img'/>
      <target dev='fda' bus='fdc'/>
    </disk>
    <disk type='network'>
      <driver name="qemu" type="raw" io="threads"/>
      <source protocol="nbd" name="image_name">
        <host name="hostname" port="10809"/>
      </source>
      <target dev="hdb" bus="ide"/>
      <boot order='2'/>
    </disk>
    <disk type='network'>
      <driver name="qemu" type="raw"/>
      <source protocol="rbd" name="pool/image_name2">
        <host name="hostname" port="7000"/>
        <snapshot name="snapname"/>
        <config file="/path/to/file"/>
      </source>
      <auth username='myuser'>
        <secret type='ceph' usage='mypassid'/>
      </auth>
      <target dev="hdc" bus="ide"/>
    </disk>
    <disk type='network' device='lun'>
      <driver name='qemu' type='raw'/>
      <source protocol='iscsi' name='iqn.2013-07.com.example:iscsi-nopool/1'>
        <host name='example.com' port='3260'/>
      </source>
      <target dev='sdb' bus='scsi'/>
    </disk>
    <disk type='network' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source protocol="http" name="url_path" query="foo=bar&amp;baz=flurb">
        <host name="hostname" port="80"/>
      </source>
      <target dev='hdd' bus='ide' tray='open'/>
      <readonly/>
    </disk>
    <disk type='block' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
    <disk type='block' device='lun'>
      <driver name='qemu' type='raw'/>
      <source dev='/dev/sda'>
        <reservations managed='yes'/>
      </source>
      <target dev='sdc' bus='scsi'/>
      <address type='drive' controller='0' bus='0' target='3' unit='0'/>
    </disk>
    <disk type='volume' device='disk'>
      <driver name='qemu' type='raw'/>
      <source pool='blk-pool0' volume='blk-pool0-vol0'/>
      <target dev='vdb' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/domain.qcow'/>
      <backingStore type='file'>
        <format type='qcow2'/>
        <source file='/var/lib/libvirt/images/snapshot.qcow'/>
        <backingStore type='block'>
          <format type='raw'/>
          <source dev='/dev/mapper/base'/>
          <backingStore/>
        </backingStore>
      </backingStore>
      <target dev='vdc' bus='virtio'/>
    </disk>
    <disk type='nvme' device='disk'>
      <driver name='qemu' type='raw'/>
      <source type='pci' managed='yes' namespace='1'>
        <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
      </source>
      <target dev='vdd' bus='virtio'/>
    </disk>
    <disk type='vhostuser' device='disk'>
      <driver name='qemu' type='raw'/>
      <source type='unix' path='/tmp/vhost-blk.sock'>
        <reconnect enabled='yes' timeout='10'/>
      </source>
      <target dev='vdf' bus='virtio'/>
    </disk>
    <controller type='scsi' index='0' model='virtio-scsi'>
      <driver queues='4'/>
    </controller>
    <controller type='sata' index='0'/>
  </devices>
  <memoryBacking>
    <source type='memfd'/>
    <access mode='shared'/>
  </memoryBacking>
</domain>""",
    "cards": """
<domain type='qemu'>
  <name>cards</name>
  <memory unit='MiB'>128</memory>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <memoryBacking>
    <source type='memfd'/>
    <access mode='shared'/>
  </memoryBacking>
  <devices>
    <interface type='network'>
      <source network='default' portgroup='engineering'/>
      <target dev='vnet7'/>
      <mac address="00:16:3E:5D:C7:9E"/>
      <model type='virtio'/>
      <driver name='vhost' txmode='iothread' ioeventfd='on' event_idx='off' queues='5' rx_queue_size='256'>
        <host csum='off' gso='off'/>
        <guest csum='off' tso4='off'/>
      </driver>
      <bandwidth>
        <inbound average='1000' peak='5000' floor='200' burst='1024'/>
        <outbound average='128' peak='256' burst='256'/>
      </bandwidth>
      <filterref filter='clean-traffic'>
        <parameter name='IP' value='10.0.0.1'/>
        <parameter name='IP' value='10.0.0.2'/>
      </filterref>
    </interface>
    <interface type='network'>
      <source network='default'/>
    </interface>
    <interface type='network'>
      <source network='default'/>
      <boot order='1'/>
    </interface>
    <interface type='bridge'>
      <source bridge='br1'/>
      <target dev='tap7'/>
      <mac address="00:11:22:33:44:55"/>
      <link state='down'/>
      <mtu size='1500'/>
      <coalesce>
        <rx>
          <frames max='7'/>
        </rx>
      </coalesce>
    </interface>
    <interface type='bridge'>
      <source bridge='ovsbr'/>
      <virtualport type='openvswitch'>
        <parameters profileid='menial' interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f'/>
      </virtualport>
      <vlan trunk='yes'>
        <tag id='42'/>
        <tag id='123' nativeMode='untagged'/>
      </vlan>
    </interface>
    <interface type='direct' trustGuestRxFilters='no'>
      <source dev='eth0' mode='vepa'/>
      <virtualport type="802.1Qbg">
        <parameters managerid="11" typeid="1193047" typeidversion="2"/>
      </virtualport>
    </interface>
    <interface type='user'>
      <mac address="00:11:22:33:44:66"/>
      <ip family='ipv4' address='172.17.2.0' prefix='24'/>
    </interface>
    <interface type='hostdev' managed='yes'>
      <driver name='vfio'/>
      <source>
        <address type='pci' domain='0x0000' bus='0x00' slot='0x07' function='0x0'/>
      </source>
      <mac address='52:54:00:6d:90:02'/>
    </interface>
    <interface type='ethernet'>
      <mac address='52:54:00:6d:90:03'/>
      <target dev='mytap1' managed='no'/>
      <rom bar='on' file='/etc/fake/boot.bin'/>
    </interface>
    <interface type='mcast'>
      <mac address='52:54:00:6d:90:01'/>
      <source address='230.0.0.1' port='5558'/>
    </interface>
    <interface type='vhostuser'>
      <mac address='52:54:00:3b:83:1a'/>
      <source type='unix' path='/tmp/vhost1.sock' mode='server'/>
      <model type='virtio'/>
    </interface>
  </devices>
</domain>""",
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
    "verbatim": """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>verbatim</name>
  <genid>43dc0cf8-809b-4adb-9bea-a9abb5f3d90e</genid>
  <memory unit='MB' dumpCore='off'>256</memory>
  <memballoon-note xmlns='https://example.com/notes'/>
  <os>
    <type>hvm</type>
  </os>
  <cpu mode='host-model' check='partial'>
    <topology sockets='1' dies='1' cores='1' threads='1'/>
    <feature policy='disable' name='vmx'/>
  </cpu>
  <qemu:commandline>
    <qemu:arg value='-newarg'/>
    <qemu:arg value='parameter'/>
    <qemu:arg value='-newarg'/>
    <qemu:env name='ID' value='wibble'/>
    <qemu:env name='BAR'/>
  </qemu:commandline>
  <qemu:capabilities>
    <qemu:del capability='usb-net'/>
  </qemu:capabilities>
</domain>""".replace("  <memballoon-note xmlns='https://example.com/notes'/>\n", ""),
    "old-usb": """
<domain type='qemu'>
  <name>old-usb</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <boot dev='network'/>
    <boot dev='hd'/>
  </os>
  <devices>
    <controller type='ide' index='0'/>
    <controller type='virtio-serial' index='1'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x0a' function='0x0'/>
    </controller>
    <controller type='usb' index='0' model='ich9-ehci1'>
      <address type='pci' domain='0' bus='0' slot='4' function='7'/>
    </controller>
    <controller type='usb' index='0' model='ich9-uhci1'>
      <master startport='0'/>
      <address type='pci' domain='0' bus='0' slot='4' function='0' multifunction='on'/>
    </controller>
    <controller type='usb' index='0' model='ich9-uhci2'>
      <master startport='2'/>
      <address type='pci' domain='0' bus='0' slot='4' function='1'/>
    </controller>
    <controller type='pci' index='0' model='pci-root'/>
    <controller type='pci' index='1' model='pci-bridge'>
      <address type='pci' domain='0' bus='0' slot='5' function='0' multifunction='off'/>
    </controller>
    <memballoon model='none'/>
  </devices>
</domain>""",
    # As virsh dumpxml has it of one that runs
    "dumped": """
<domain type='qemu' id='4'>
  <name>dumped</name>
  <uuid>6fa2b1c4-4ad2-4b0b-9f5c-0c4b55d1ad11</uuid>
  <memory unit='KiB'>131072</memory>
  <currentMemory unit='KiB'>131072</currentMemory>
  <vcpu placement='static' current='1'>1</vcpu>
  <resource>
    <partition>/machine</partition>
  </resource>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode='custom' match='exact' check='none'>
    <model fallback='forbid'>qemu64</model>
  </cpu>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/dumped.qcow2' index='1'/>
      <backingStore type='file' index='2'>
        <format type='qcow2'/>
        <source file='/var/lib/libvirt/images/base.qcow2'/>
        <backingStore/>
      </backingStore>
      <target dev='vda' bus='virtio'/>
      <alias name='virtio-disk0'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:12:34:56'/>
      <source network='default' portid='b5f0e2b9-2dbc-4bd4-a2d5-4ee4ad2e6b0f' bridge='virbr0'/>
      <target dev='vnet0'/>
      <model type='virtio'/>
      <alias name='net0'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>
    </interface>
    <serial type='pty'>
      <source path='/dev/pts/3'/>
      <target type='isa-serial' port='0'>
        <model name='isa-serial'/>
      </target>
      <alias name='serial0'/>
    </serial>
    <console type='pty' tty='/dev/pts/3'>
      <source path='/dev/pts/3'/>
      <target type='serial' port='0'/>
      <alias name='serial0'/>
    </console>
    <channel type='unix'>
      <source mode='bind' path='/run/libvirt/qemu/channel/4-dumped/org.qemu.guest_agent.0'/>
      <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>
      <alias name='channel0'/>
      <address type='virtio-serial' controller='0' bus='0' port='1'/>
    </channel>
    <input type='mouse' bus='ps2'>
      <alias name='input0'/>
    </input>
    <graphics type='vnc' port='5900' autoport='yes' listen='127.0.0.1'>
      <listen type='address' address='127.0.0.1'/>
    </graphics>
    <memballoon model='virtio'>
      <alias name='balloon0'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0'/>
    </memballoon>
  </devices>
  <seclabel type='dynamic' model='dac' relabel='yes'>
    <label>+64055:+64055</label>
    <imagelabel>+64055:+64055</imagelabel>
  </seclabel>
</domain>""",
}
