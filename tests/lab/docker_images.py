# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of Docker as the tests see them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

CONTEXTS = Path("/var/tmp/strata-image")


def inspect(name: str) -> dict | None:
    done = subprocess.run(["docker", "image", "inspect", name], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)[0] if done.returncode == 0 else None


def look(name: str) -> dict | None:
    found = inspect(name)
    if found is None:
        return None
    labels = {key: value for key, value in (found["Config"]["Labels"] or {}).items() if not key.startswith("strata.")}
    marks = [value for value in found["Config"]["Env"] or () if value.startswith("MARK=")]
    return {"Labels": labels, "Marks": marks, "Layers": len(found["RootFS"]["Layers"])}
