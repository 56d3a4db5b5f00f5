# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in a container, and as what."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  image:
    description:
      - The image to run, by name or ID. Images are compared by ID.
      - One that isn't on the host is pulled, as O(pull) says.
      - Without it, a container that is there keeps its own. Required for a new one, and by O(state=present).
    type: str
  platform:
    description:
      - The platform of the image, as C(os/architecture[/variant]), such as V(linux/arm64). V(amd64) alone is Linux.
    type: str
  entrypoint:
    description:
      - What runs O(command). Empty means that of the image. To have none, give a list of one empty string.
    type: list
    elements: str
  command:
    description:
      - The command to run, as a list or as a string that is split as a shell does it. Empty means that of the image.
    type: raw
  command_handling:
    description:
      - V(compatibility) joins lists in O(command) and O(entrypoint) with blanks and splits them again as a shell does
        it, and takes empty ones for not given. It is there for old tasks.
    type: str
    choices: [compatibility, correct]
    default: correct
  working_dir:
    description:
      - Where it runs. Empty means where the image says.
    type: str
  env:
    description:
      - Environment variables on top of those of the image. Others are taken away. Quote numbers and booleans.
    type: dict
  env_file:
    description:
      - A file on the managed host with more of them, C(NAME=value), one a line. O(env) wins over it.
    type: path
  labels:
    description:
      - Labels to set. Others stay as they are.
    type: dict
  user:
    description:
      - Who it runs as, C(user[:group]) by name or number. Empty means whom the image says.
    type: str
  groups:
    description:
      - Further groups of that user, by name or number.
    type: list
    elements: str
  hostname:
    description:
      - Its hostname. Empty means the one that the engine gives.
    type: str
  domainname:
    description:
      - Its NIS domain name.
    type: str
  init:
    description:
      - Whether a small init runs as the first process, which passes on signals and reaps processes.
    type: bool
  interactive:
    description:
      - Whether standard input stays open.
    type: bool
  tty:
    description:
      - Whether it has a terminal.
    type: bool
  stop_signal:
    description:
      - The signal that stops it. Empty means that of the image, else SIGTERM.
    type: str
  stop_timeout:
    description:
      - Seconds between that signal and SIGKILL. The engine's default is 10.
    type: int
  auto_remove:
    description:
      - Whether the engine removes it once it has left. There is no way back then, so that such a one isn't replaced.
    type: bool
  restart_policy:
    description:
      - When the engine starts it again. Put V(no) in quotes.
    type: str
    choices: ["no", on-failure, always, unless-stopped]
  restart_retries:
    description:
      - How often, with O(restart_policy=on-failure). V(0) is for ever.
    type: int
  log_driver:
    description:
      - Where its output goes.
    type: str
  log_options:
    description:
      - Options of that driver. Others stay as they are, such as those of the engine's configuration.
    type: dict
    aliases: [log_opt]
  runtime:
    description:
      - The OCI runtime, one of those that the engine knows.
    type: str
"""
