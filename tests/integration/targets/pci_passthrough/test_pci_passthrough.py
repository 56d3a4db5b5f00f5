# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pci_passthrough, looked at through sysfs. A lab host has no IOMMU: pci-stub gets its bus controller, for vfio-pci."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.convergence import Case, Harness
from tests.lab.driver import Failed, Killed, call, run, touches_of

pytestmark = pytest.mark.machine

DEVICES = Path("/sys/bus/pci/devices")


def of_class(sort: str) -> str:
    return next(path.name for path in sorted(DEVICES.iterdir()) if (path / "class").read_text().startswith(sort))


SPARE = of_class("0x0c05")  # SMBus
UNIT = f"strata-pci-{SPARE}.service"


def look(address: str) -> dict | None:
    device = DEVICES / address
    driver = (device / "driver").resolve().name if (device / "driver").exists() else ""
    override = (device / "driver_override").read_text().strip()
    kept = Path(f"/etc/systemd/system/strata-pci-{address}.service").exists()
    return {"driver": driver, "kept": kept} if override != "(null)" or kept else None


def taken_back() -> None:
    (DEVICES / SPARE / "driver_override").write_text("\n")
    (DEVICES / SPARE / "driver" / "unbind").write_text(SPARE)


def found_again() -> None:
    """As the host itself would have it."""
    taken_back()
    Path("/sys/bus/pci/drivers_probe").write_text(SPARE)


class TestPciPassthrough(Harness):
    case = Case(
        kind="pci_passthrough",
        info="pci_passthrough_info",
        identity="address",
        name=SPARE,
        a={"driver": "pci-stub", "persistent": True},
        b={"driver": "pci-stub", "persistent": False},
        look=look,
        seen_a={"driver": "pci-stub", "kept": True},
        seen_b={"driver": "pci-stub", "kept": False},
        touches=("engines.pcifs.write", "core.files.write", "core.files.remove", "engines.systemd.want"),
    )

    def test_create_change_and_absent(self):
        before = (DEVICES / SPARE / "driver").exists()
        assert self.foretold(self.case.a)["changed"]
        self.sees(self.case.seen_a)
        self.unchanged(self.case.a)
        (told,) = call("pci_passthrough_info", {})["resources"]
        assert (told["name"], told["facts"]["driver"]) == (SPARE, "pci-stub")
        assert call("pci_passthrough", told["options"])["changes"] == []
        for drift in (
            taken_back,
            found_again,
            lambda: run("systemctl", "disable", UNIT),
            lambda: Path(f"/etc/systemd/system/{UNIT}").unlink(),
        ):
            drift()
            assert self.foretold(self.case.a)["changed"]
            self.sees(self.case.seen_a)
        taken_back()
        run("systemctl", "restart", UNIT)
        self.sees(self.case.seen_a)
        self.unchanged(self.case.a)
        assert self.foretold(self.case.b)["changed"]
        self.sees(self.case.seen_b)
        self.unchanged(self.case.b)
        assert self.foretold({"state": "absent"})["changed"]
        assert look(SPARE) is None
        assert (DEVICES / SPARE / "driver").exists() == before
        self.unchanged({"state": "absent"})

    def test_killed_anywhere_it_converges_again(self):
        gone = {"state": "absent"}
        for start, wanted, seen in ((gone, self.case.a, self.case.seen_a), (self.case.a, gone, None)):
            self.apply(start)
            for touch in range(1, touches_of(self.case.kind, self.case.options(SPARE, wanted), self.case.touches) + 1):
                self.apply(start)
                with pytest.raises(Killed):
                    self.apply(wanted, touches=self.case.touches, die_at=touch)
                self.apply(wanted)
                if seen:
                    self.sees(seen)
                else:
                    assert look(SPARE) is None
                    assert not Path(f"/run/strata/pci/{SPARE}").exists()

    def test_a_stack_gives_back_what_it_took(self):
        self.stack(self.case.a)
        assert self.stack(self.case.a)["changed"] is False
        with pytest.raises(Failed, match="belongs to the stack"):
            call(
                "stack", {"name": "strata-other", "resources": [{"pci_passthrough": {"address": SPARE, "driver": ""}}]}
            )
        self.stack(None)
        assert look(SPARE) is None

    @pytest.mark.parametrize(
        ("address", "options", "words"),
        [
            (SPARE, {"driver": "vfio-pci"}, "driver: needs an IOMMU"),
            (SPARE, {"functions": 2}, "functions: can't be divided"),
            (SPARE, {"functions": 1, "driver": "pci-stub"}, "functions: goes without driver"),
            (SPARE, {"driver": "no-such-driver"}, "no-such-driver"),
            (SPARE, {"nonsense": 1}, "nonsense"),
            (of_class("0x06"), {"driver": "pci-stub"}, "address: is a bridge"),
            (of_class("0x02"), {"driver": "pci-stub"}, "in use: the network interface eth0, which is up"),
            (of_class("0x01"), {"driver": "pci-stub"}, "in use: .* mounted at /"),
            ("0000:ff:1f.7", {"driver": "pci-stub"}, "address: this host has no PCI device there"),
            ("x", {"driver": "pci-stub"}, "address: is no PCI address"),
        ],
    )
    def test_what_cannot_be_is_refused(self, address, options, words):
        with pytest.raises(Failed, match=words):
            call("pci_passthrough", {"address": address, **options})
        assert look(SPARE) is None
