# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of projects of Compose have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  project_name:
    description:
      - The name of the project.
      - Where it is not given, it is the C(name) of the definition or of the files, else that of the folder
        O(project_src).
    type: str
  state:
    description:
      - V(present) and V(started) create what is missing, and start it, as C(docker compose up) does.
      - V(stopped) creates what is missing, and stops what runs.
      - V(restarted) is V(started), and every container starts anew that the task doesn't start anyway.
      - V(absent) stops and removes every container of the project, also those of services that it no longer has, and
        its networks. Its name is enough for that. Volumes and images stay, unless O(remove_volumes) and
        O(remove_images) say otherwise.
    type: str
    choices: [present, started, stopped, restarted, absent]
    default: present
  project_src:
    description:
      - The folder of the project, where C(compose.yaml) is, and that relative paths are relative to.
      - Where neither it nor O(files) nor O(definition) is given, a project that is there is made from what it was made
        from before.
    type: str
  files:
    description:
      - The files of the project, relative to O(project_src), the later ones on top of those before. Where they are not
        given, those that Compose looks for.
    type: list
    elements: str
  definition:
    description:
      - The project itself, in place of files. Relative paths in it are relative to O(project_src).
    type: dict
  env_files:
    description:
      - Where the variables come from that the files use, relative to O(project_src). Where they are not given, C(.env).
    type: list
    elements: str
  profiles:
    description:
      - The profiles to enable.
    type: list
    elements: str
  services:
    description:
      - The services that the task is about, and with O(dependencies=true) those that they depend on. All that
        O(profiles) enable where it is not given.
    type: list
    elements: str
  dependencies:
    description:
      - Whether the services that O(services) depend on are declared with them.
    type: bool
    default: true
  scale:
    description:
      - How many containers services have, by service, in place of what the files say.
    type: dict
  pull:
    description:
      - V(missing) pulls an image that is not there. V(always) also one of which its registry has another than the host.
        V(never) pulls none. V(policy) does what C(pull_policy) of each service says, which is V(missing) by itself.
      - What a registry has, it is asked in check mode, too.
    type: str
    choices: [always, missing, never, policy]
    default: policy
  build:
    description:
      - V(policy) builds an image that is not there, or what C(pull_policy) of the service says. V(never) builds none.
      - V(always) builds again when the content of the context changed, or how it is built. The image has labels that
        tell what it was built from; a context that is no folder of the host counts as unchanged.
    type: str
    choices: [always, never, policy]
    default: policy
  recreate:
    description:
      - V(auto) makes containers anew whose service or image changed. V(never) leaves them, and C(restart_required)
        names what differs. V(always) makes all anew.
    type: str
    choices: [always, never, auto]
    default: auto
  renew_anon_volumes:
    description:
      - Whether containers that are made anew get new volumes where they had some without a name.
    type: bool
    default: false
  remove_orphans:
    description:
      - Whether containers of services go that the project no longer has.
    type: bool
    default: false
  remove_images:
    description:
      - Which images go with a project that becomes V(absent), if no other container needs them. V(all) that its
        containers were made from, or V(local), those that Compose built and named itself.
    type: str
    choices: [all, local]
  remove_volumes:
    description:
      - Whether the volumes of a project that becomes V(absent) go with it, and what is in them.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that a container has to stop.
    type: int
  wait:
    description:
      - Whether to wait until services run, and are healthy where they have a health check. One that isn't is a change.
    type: bool
    default: false
  wait_timeout:
    description:
      - Seconds to wait at most.
    type: int
"""
