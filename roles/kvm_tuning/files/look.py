# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""look.py WANTED: what a host's kernel is to be told for virtual machines, and what of it doesn't hold yet. As JSON.

Changes nothing. WANTED is JSON: values (sysfs files and what they are to say; null: not managed), governor, sysctls,
nested, isolated, files (where to keep it for the next boot).
"""

from __future__ import annotations

import glob
import json
import re
import sys
from typing import Any

HEADER = "# Written by strata.virt.kvm_tuning\n"
GOVERNORS = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
MODULES = ("kvm_intel", "kvm_amd")
KERNEL = ("isolcpus=managed_irq,domain,", "nohz_full=", "rcu_nocbs=")
ROOT = ""


def text(path: str) -> str | None:
    try:
        with open(ROOT + path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def chosen(said: str) -> str:
    """What is in force: the word in brackets, where the kernel lists all that there are."""
    found = re.search(r"\[(.+?)\]", said)
    return found.group(1) if found else said


def cpus(listed: str) -> set[int]:
    """The numbers of 0-3,8 (Documentation/core-api/cpu_hotplug.rst)."""
    numbers: set[int] = set()
    for part in filter(None, listed.split(",")):
        first, _dash, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def word(value: Any) -> str:
    """As the kernel spells it."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def kept(lines: list[str]) -> str:
    return HEADER + "".join(f"{line}\n" for line in lines)


def paths(wanted: dict[str, Any], refused: list[str]) -> dict[str, str]:
    """The files of sysfs that are there, each with what it is to say."""
    found = {}
    for path, value in wanted["values"].items():
        if value is None:
            continue
        if text(path) is None:
            refused.append(f"this kernel has no {path}")
        found[path] = word(value)
    return found


def governors(wanted: str | None, refused: list[str]) -> list[str]:
    """The files of processors whose frequency can be governed; on machines that can't, there are none."""
    there = sorted(path[len(ROOT) :] for path in glob.glob(ROOT + GOVERNORS)) if wanted else []
    for path in there[:1]:
        able = (text(path.replace("scaling_governor", "scaling_available_governors")) or "").split()
        if able and wanted not in able:
            refused.append(f"kvm_tuning_governor: the processors have no {wanted}; they have {', '.join(able)}")
    return there


def told(isolated: str | None) -> list[str]:
    """What only the kernel's command line can do, and what has to be there for it."""
    if not isolated:
        return []
    words = (text("/proc/cmdline") or "").split()
    given = {
        key: {number for one in words if one.startswith(key.partition("=")[0] + "=") for number in _cpus_in(one)}
        for key in KERNEL
    }
    lacking = [f"{key}{isolated}" for key in KERNEL if given[key] != cpus(isolated)]
    if not lacking:
        return []
    return [
        f"Processors are set apart at boot alone: have {' '.join(lacking)} among the kernel's parameters, and reboot"
    ]


def _cpus_in(parameter: str) -> set[int]:
    parts = parameter.partition("=")[2].split(",")
    return cpus(",".join(part for part in parts if re.fullmatch(r"\d+(-\d+)?", part)))


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    refused: list[str] = []
    values = paths(wanted, refused)
    governed = governors(wanted["governor"], refused)
    sysctls = {name: word(value) for name, value in wanted["sysctls"].items() if value is not None}
    for name in sysctls:
        if text(f"/proc/sys/{name.replace('.', '/')}") is None:
            refused.append(f"kvm_tuning_sysctls: this kernel has no {name}")
    waits = told(wanted["isolated"])
    nested = wanted["nested"]
    for module in MODULES if nested is not None else ():
        now = text(f"/sys/module/{module}/parameters/nested")
        if now is not None and (now in ("Y", "1")) != nested:
            again = f"modprobe --remove {module} && modprobe {module}"
            waits.append(f"{module} was loaded otherwise. When no virtual machine runs: {again}")
    lines = [f"w {path} - - - - {value}" for path, value in values.items()]
    lines += [f"w {GOVERNORS} - - - - {wanted['governor']}"] if governed else []
    contents = {
        "tmpfiles": kept(lines) if lines else None,
        "sysctl": kept([f"{name} = {value}" for name, value in sysctls.items()]) if sysctls else None,
        "modprobe": kept([f"options {module} nested={int(nested)}" for module in MODULES])
        if nested is not None
        else None,
    }
    files = [
        {"path": wanted["files"][name], "content": content}
        for name, content in contents.items()
        if content is not None and (text(wanted["files"][name]) or "") + "\n" != content
    ]
    wrong = [path for path, value in values.items() if chosen(text(path) or "") != value]
    wrong += [path for path in governed if text(path) != wanted["governor"]]
    differing = [
        name
        for name, value in sysctls.items()
        if (text(f"/proc/sys/{name.replace('.', '/')}") or "").split() != value.split()
    ]
    return {"refused": refused, "files": files, "values": wrong, "sysctls": differing, "told": waits}


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.argv[1]))))
