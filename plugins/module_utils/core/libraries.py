# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python libraries of the engines: imported when first used, found in whichever interpreter has them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
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


def part(name: str, package: str) -> ModuleType:
    """Import a module of an engine's library without what the library's own ``__init__`` does.

    For a library that is a collection of which little is used: pyroute2 imports all that it has, and starts two
    programs to find out what it runs on, which is four times the cost of its codecs. Where the module can't do
    without, the whole library is imported.

    Args:
        name: The module, dotted.
        package: The distribution's package that has it.

    Raises:
        StrataError: No interpreter has the library.
    """
    root = name.partition(".")[0]
    if root not in sys.modules:
        found = importlib.util.find_spec(root)
        if found is not None and found.submodule_search_locations:
            bare = ModuleType(root)
            bare.__path__ = list(found.submodule_search_locations)
            sys.modules[root] = bare
            try:
                return importlib.import_module(name)
            except ImportError:
                for loaded in [module for module in sys.modules if module.partition(".")[0] == root]:
                    del sys.modules[loaded]
    return library(name, package)
