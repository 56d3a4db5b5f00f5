# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that make containers have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - The container.
    type: str
    required: true
  state:
    description:
      - V(started) makes, repairs and starts it, V(stopped) makes, repairs and stops it, V(present) makes and
        repairs it and
        leaves it running or not, V(absent) stops and removes it, and keeps its image and all of its volumes.
      - V(healthy) starts it, too, and waits for its health check. One without a health check counts as healthy.
    type: str
    choices: [started, present, healthy, stopped, absent]
    default: started
  healthy_wait_timeout:
    description:
      - How many seconds O(state=healthy) waits. V(0) is for ever.
    type: float
    default: 300
  paused:
    description:
      - Whether its processes are frozen, where it is to be started. Not given, it is not.
    type: bool
  pull_check_mode_behavior:
    description:
      - Has no effect. Check mode asks the registry, too, and tells what it has.
    type: str
    choices: [image_not_present, always]
    default: image_not_present
  image_comparison:
    description:
      - Which image says what counts as given by it, the one that is declared or the one that the container has.
    type: str
    choices: [desired-image, current-image]
    default: desired-image
  image_label_mismatch:
    description:
      - V(fail) has it fail where O(comparisons) says V(strict) of labels and the image has others than declared.
    type: str
    choices: [ignore, fail]
    default: ignore
  image_name_mismatch:
    description:
      - Whether a container of the same image under another name is replaced.
    type: str
    choices: [ignore, recreate]
    default: ignore
  comparisons:
    description:
      - How options are compared otherwise than usual, by their names; C(*) stands for all that aren't named.
      - V(strict) has a list or a mapping be exactly as declared, V(allow_more_present) leaves more of it as it is, and
        V(ignore) leaves the option as it is.
      - Once a new container is needed for another reason, it is as declared in what is ignored, too.
      - What O(hardening) gives is always compared.
    type: dict
  container_default_behavior:
    description:
      - V(compatibility) has O(auto_remove), O(init), O(interactive), O(paused), O(privileged), O(read_only) and O(tty)
        be V(false) and O(memory) unlimited where they are not given. It is there for old tasks.
    type: str
    choices: [compatibility, no_defaults]
    default: no_defaults
  detach:
    description:
      - V(false) waits until it has left, and fails unless its status is 0. Its output is C(Output) in RV(container). It
        runs anew each time.
    type: bool
  cleanup:
    description:
      - Whether it is removed then.
    type: bool
    default: false
  output_logs:
    description:
      - Has no effect. The output is always in the result of O(detach=false).
    type: bool
    default: false
  recreate:
    description:
      - Whether it is replaced. V(if_needed) or V(false) does so for changes that it can't take live, V(never) tells of
        them in RV(restart_required), and V(always) or V(true) replaces it even if nothing changed.
    type: str
    default: if_needed
  restart:
    description:
      - V(always) or V(true) restarts it even if nothing changed, where it is to be started. Else V(never).
    type: str
    default: never
  timeout:
    description:
      - How long a new container may take to become healthy, in seconds or as V(5m). One without a health check has
        to run
        for two seconds.
    type: str
    default: "60"
  force_kill:
    description:
      - Whether it is killed instead of stopped.
    type: bool
    default: false
    aliases: [forcekill]
  kill_signal:
    description:
      - The signal for that, SIGKILL where it is not given.
    type: str
  keep_volumes:
    description:
      - Whether volumes without a name stay when it is removed, and go over to the new container when it is replaced.
    type: bool
    default: true
  removal_wait_timeout:
    description:
      - How many seconds to wait for a removal that is under way already. Not given, for 60.
    type: float
"""
