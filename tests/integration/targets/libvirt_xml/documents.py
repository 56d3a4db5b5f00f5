# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents as people have them: in the forms that libvirt's documentation, tutorials and ``virsh …-dumpxml`` show.

Each is for a kind and a name, and is given as it stands.
"""

from __future__ import annotations

NETWORKS = {
    "nat": """
<network>
  <name>nat</name>
  <bridge name="virbr40"/>
  <forward mode="nat"/>
  <ip address="192.168.140.1" netmask="255.255.255.0">
    <dhcp>
      <range start="192.168.140.2" end="192.168.140.254"/>
    </dhcp>
  </ip>
  <ip family="ipv6" address="2001:db8:ca2:2::1" prefix="64"/>
</network>""",
    "nat-range": """
<network>
  <name>nat-range</name>
  <uuid>3e3fce45-4f53-4fa7-bb32-11f34168b82b</uuid>
  <forward mode='nat'>
    <nat ipv6='yes'>
      <address start='203.0.113.4' end='203.0.113.10'/>
      <port start='500' end='1000'/>
    </nat>
  </forward>
  <bridge name='virbr41' stp='on' delay='0'/>
  <mac address='52:54:00:AA:BB:CC'/>
  <domain name='lab.example.com' localOnly='yes'/>
  <ip address='192.168.141.1' netmask='255.255.255.0' localPtr='yes'>
    <tftp root='/srv/tftp'/>
    <dhcp>
      <range start='192.168.141.128' end='192.168.141.254'>
        <lease expiry='1' unit='hours'/>
      </range>
      <host mac='00:16:3E:77:E2:ED' name='a.example.com' ip='192.168.141.10'>
        <lease expiry='30'/>
      </host>
      <host mac="00:16:3e:3e:a9:1a" name="b.example.com" ip="192.168.141.11"/>
      <bootp file='pxelinux.0' server='192.168.141.3'/>
    </dhcp>
  </ip>
</network>""",
    "routed": """
<network connections='2'>
  <name>routed</name>
  <bridge name="virbr42" zone='public'/>
  <forward mode="route" dev="eth1"/>
  <ip address="192.168.142.1" netmask="255.255.255.0"/>
  <ip address="192.168.143.1" netmask="255.255.255.0"/>
  <route address="198.51.100.0" prefix="24" gateway="192.168.142.2"/>
  <route family="ipv6" address="2001:db8:ca2:3::" prefix="64" gateway="2001:db8:ca2:2::2" metric='2'/>
  <ip family="ipv6" address="2001:DB8:CA2:2:0::1" prefix="64">
    <dhcp>
      <range start="2001:db8:ca2:2:1::10" end="2001:db8:ca2:2:1::ff"/>
      <host id="0:4:7e:7d:f0:7d:a8:bc:c5:d2:13:32:11:ed:16:ea:84:63" name="ann" ip="2001:db8:ca2:2:3::2"/>
      <host name="bob" ip="2001:db8:ca2:2:3::3"/>
    </dhcp>
  </ip>
</network>""",
    "private": """
<network ipv6='yes'>
  <name>private</name>
  <bridge name="virbr44" macTableManager='libvirt'/>
  <port isolated='yes'/>
</network>""",
    "names": """
<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>
  <name>names</name>
  <title>Names</title>
  <description>What the lab's own names are</description>
  <metadata>
    <app:tier xmlns:app="https://example.com/tier/1">back</app:tier>
  </metadata>
  <bridge name="virbr45"/>
  <mtu size="9000"/>
  <bandwidth>
    <inbound average='1000' peak='5000' burst='5120'/>
    <outbound average='128' peak='256' burst='256'/>
  </bandwidth>
  <dns forwardPlainNames='no'>
    <forwarder addr='8.8.8.8'/>
    <forwarder domain='example.com' addr="8.8.4.4"/>
    <forwarder domain='www.example.com'/>
    <txt name="example" value="example value"/>
    <host ip='192.168.145.2'>
      <hostname>myhost</hostname>
      <hostname>myhostalias</hostname>
    </host>
    <srv service='name' protocol='tcp' domain='test-domain-name' target='.' port='1024' priority='10' weight='10'/>
  </dns>
  <ip address="192.168.145.1" prefix="24"/>
  <dnsmasq:options>
    <dnsmasq:option value="foo=bar"/>
    <dnsmasq:option value="cname=*.foo.example.com,master.example.com"/>
  </dnsmasq:options>
</network>""",
    "host-bridge": """
<network>
  <name>host-bridge</name>
  <forward mode="bridge"/>
  <bridge name="br0"/>
</network>""",
    "macvtap": """
<network>
  <name>macvtap</name>
  <forward mode="bridge">
    <interface dev="eth20"/>
    <interface dev="eth21"/>
  </forward>
</network>""",
    "passthrough": """
<network>
  <name>passthrough</name>
  <forward dev='eth10' mode='passthrough'>
    <interface dev='eth10'/>
    <interface dev='eth11'/>
  </forward>
</network>""",
    "functions-of": """
<network>
  <name>functions-of</name>
  <forward mode='hostdev' managed='yes'>
    <pf dev='eth3'/>
  </forward>
</network>""",
    "ovs": """
<network trustGuestRxFilters='yes'>
  <name>ovs</name>
  <forward mode='bridge'/>
  <bridge name='ovsbr0'/>
  <virtualport type='openvswitch'>
    <parameters interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f'/>
  </virtualport>
  <vlan trunk='yes'>
    <tag id='42' nativeMode='untagged'/>
    <tag id='47'/>
  </vlan>
  <portgroup name='engineering' default='yes'>
    <virtualport type='openvswitch'>
      <parameters profileid='test'/>
    </virtualport>
    <bandwidth>
      <inbound average='1000' peak='5000' burst='5120'/>
      <outbound average='1000' peak='5000' burst='5120'/>
    </bandwidth>
  </portgroup>
  <portgroup name='sales' trustGuestRxFilters='no'>
    <vlan>
      <tag id='1052'/>
    </vlan>
  </portgroup>
</network>""",
}

POOLS = {
    "virtimages": """
<pool type="dir">
  <name>virtimages</name>
  <target>
    <path>/var/lib/virt/images</path>
    <permissions>
      <owner>107</owner>
      <group>107</group>
      <mode>0744</mode>
      <label>virt_image_t</label>
    </permissions>
  </target>
</pool>""",
    "dumped": """
<pool type='dir'>
  <name>dumped</name>
  <uuid>70a7eb15-6c34-ee9c-bf57-69e8e5ff3fb2</uuid>
  <capacity unit='bytes'>218578812928</capacity>
  <allocation unit='bytes'>120000000000</allocation>
  <available unit='bytes'>98578812928</available>
  <features>
    <cow state='no'/>
  </features>
  <source>
  </source>
  <target>
    <path>/var/lib/dumped</path>
  </target>
</pool>""",
    "fs": """
<pool type="fs" xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'>
  <name>fs</name>
  <source>
    <device path="/dev/VolGroup00/VirtImages"/>
    <format type='ext4'/>
  </source>
  <target>
    <path>/var/lib/virt/fs</path>
  </target>
  <fs:mount_opts>
    <fs:option name='noatime'/>
    <fs:option name='nodev'/>
  </fs:mount_opts>
</pool>""",
    "nfs": """
<pool type="netfs">
  <name>nfs</name>
  <source>
    <host name="nfs.example.com"/>
    <dir path="/var/lib/virt/images"/>
    <format type='nfs'/>
    <protocol ver='4'/>
  </source>
  <target>
    <path>/var/lib/virt/nfs</path>
  </target>
</pool>""",
    "logical": """
<pool type="logical">
  <name>logical</name>
  <source>
    <device path="/dev/sda1"/>
    <device path="/dev/sdb1"/>
    <name>HostVG</name>
    <format type='lvm2'/>
  </source>
  <target>
    <path>/dev/HostVG</path>
  </target>
</pool>""",
    "iscsi": """
<pool type="iscsi">
  <name>iscsi</name>
  <source>
    <host name="iscsi.example.com" port='3260'/>
    <device path="iqn.2013-06.com.example:iscsi-pool"/>
    <initiator>
      <iqn name='iqn.2013-06.com.example:initiator'/>
    </initiator>
    <auth type='chap' username='myuser'>
      <secret usage='libvirtiscsi'/>
    </auth>
    <vendor name='Acme'/>
    <product name='model'/>
  </source>
  <target>
    <path>/dev/disk/by-path</path>
  </target>
</pool>""",
}

VOLUMES = {
    "sparse.img": """
<volume type='file'>
  <name>sparse.img</name>
  <key>/var/lib/xen/images/sparse.img</key>
  <allocation>0</allocation>
  <capacity unit="M">4</capacity>
  <target>
    <path>/var/lib/virt/images/sparse.img</path>
    <permissions>
      <owner>107</owner>
      <group>107</group>
      <mode>0744</mode>
      <label>virt_image_t</label>
    </permissions>
  </target>
</volume>""",
    "image.qcow2": """
<volume>
  <name>image.qcow2</name>
  <allocation unit='KB'>0</allocation>
  <capacity unit='MB'>8</capacity>
  <target>
    <format type='qcow2'/>
    <compat>1.1</compat>
    <clusterSize unit='KiB'>64</clusterSize>
    <features>
      <lazy_refcounts/>
    </features>
  </target>
</volume>""",
    "layer.qcow2": """
<volume>
  <name>layer.qcow2</name>
  <capacity unit='MiB'>16</capacity>
  <target>
    <format type='qcow2'/>
  </target>
  <backingStore>
    <path>image.qcow2</path>
    <format type='qcow2'/>
  </backingStore>
</volume>""",
}

FILTERS = {
    "no-ip": """
<filter name='no-ip' chain='ipv4' priority='-710'>
  <uuid>fce8ae33-e69e-83bf-262e-30786c1f8072</uuid>
  <!-- what the guest pretends to be -->
  <rule action='drop' direction='out' priority='500'>
    <mac match='no' srcmacaddr='$MAC'/>
  </rule>
  <rule action='return' direction='out' priority='100'>
    <ip srcipaddr='$IP'/>
  </rule>
  <rule action='drop' direction='out' priority='1000'/>
</filter>""",
    "web-server": """
<filter name='web-server'>
  <filterref filter='clean-traffic'>
    <parameter name='IP' value='10.0.0.1'/>
    <parameter name='IP' value='10.0.0.2'/>
  </filterref>
  <rule action='accept' direction='in'>
    <tcp dstportstart='0x16' dstportend='0x1a' srcipmask='255.255.255.0' srcipaddr='10.1.0.0'/>
  </rule>
  <rule action='accept' direction='out' statematch='false'>
    <all state='ESTABLISHED,RELATED' comment='answers'/>
  </rule>
  <rule action='accept' direction='inout'>
    <icmp/>
  </rule>
  <rule action='drop' direction='inout' priority='1000'>
    <all/>
  </rule>
</filter>""",
    "lists": """
<filter name='lists' chain='root'>
  <rule action='accept' direction='in' priority='500'>
    <udp dstportstart='$DSTPORTS[ 1 ]' srcipaddr='$SRCIPADDRESSES[@2]'/>
  </rule>
  <rule action='drop' direction='out' priority='-100'>
    <mac protocolid='0x806'/>
  </rule>
</filter>""",
}

SECRETS = {
    "/var/lib/libvirt/images/puppyname.img": """
<secret ephemeral='no' private='yes'>
  <description>LUKS passphrase for our hard drive</description>
  <uuid>0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f</uuid>
  <usage type='volume'>
    <volume>/var/lib/libvirt/images/puppyname.img</volume>
  </usage>
</secret>""",
    "ceph_example": """
<secret ephemeral='no' private='yes'>
  <description>CEPH passphrase example</description>
  <usage type='ceph'>
    <name>ceph_example</name>
  </usage>
</secret>""",
    "libvirtiscsi": """
<secret ephemeral='no' private='no'>
  <description>Passphrase for the iSCSI example.com server</description>
  <usage type='iscsi'>
    <target>libvirtiscsi</target>
  </usage>
</secret>""",
    "TLS_example": """
<secret ephemeral='yes' private='no'>
  <description>sample tls secret</description>
  <usage type='tls'>
    <name>TLS_example</name>
  </usage>
</secret>""",
}

ALL = {
    "libvirt_network": NETWORKS,
    "libvirt_pool": POOLS,
    "libvirt_volume": VOLUMES,
    "libvirt_nwfilter": FILTERS,
    "libvirt_secret": SECRETS,
}
