# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains as people have them: in the forms that libvirt's documentation, tutorials and ``virsh dumpxml`` show."""

from __future__ import annotations

from tests.integration.targets.libvirt_xml.domains_devices import DEVICES
from tests.integration.targets.libvirt_xml.domains_machines import MACHINES
from tests.integration.targets.libvirt_xml.domains_storage import STORAGE

DOMAINS = {**MACHINES, **STORAGE, **DEVICES}
