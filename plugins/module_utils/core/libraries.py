# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python libraries of the engines: imported when first used, found in whichever interpreter has them."""

from __future__ import annotations

import importlib
from types import ModuleType

from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module

from .errors import StrataError

# Bindings belong to the distribution's own Python, wherever Ansible's interpreter is.
_INTERPRETERS = ["/usr/bin/python3", "/usr/libexec/platform-python"]


def library(name: str, package: str) -> ModuleType:
    """Import an engine's library.

    Where this interpreter lacks it and the distribution's own has it, the module starts again under that one:
    once, at a cost of about 150 ms. Call it while opening an engine, before anything was touched.

    Args:
        name: The module.
        package: The distribution's package that has it.

    Raises:
        StrataError: No interpreter has the library.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        other = None if has_respawned() else probe_interpreters_for_module(_INTERPRETERS, name)
        if other is not None:
            respawn_module(other)
        raise StrataError(
            f"no Python of this host has the library {name}", hint=f"Install the package {package}"
        ) from None
