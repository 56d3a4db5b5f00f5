#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_play
short_description: Documents of Kubernetes, played by Podman, root's or a plain user's
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes the pods, volumes and secrets that documents of Kubernetes declare, starts and stops them, and removes them,
    as C(podman kube play) and C(podman kube down) do.
  - What was played is found again by labels, and each pod has a digest of all that it was played from. What is
    unchanged isn't touched; of what changed, only the pods that it is about are replaced.
  - What is played is kept in a secret of Podman. Where new pods can't be made or don't stay up, those of before come
    back. What their containers wrote outside of volumes is lost by then, as with every replacement.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.converges
options:
  name:
    description:
      - What the play is called. It is no name in the documents.
    type: str
    required: true
  state:
    description:
      - V(started) makes all of it and has it run, V(stopped) makes it and has it not run, V(created) only makes it,
        V(absent) removes the pods and secrets. Volumes go as O(keep_volumes) says.
      - A container that ended well needn't run again where the document has C(restartPolicy) C(Never) or C(OnFailure).
    type: str
    choices: [started, stopped, created, absent]
    default: started
  definition:
    description:
      - A document, or a list of documents, of the kinds C(Pod), C(Deployment), C(DaemonSet),
        C(PersistentVolumeClaim), C(ConfigMap) and C(Secret). Others are refused, because Podman would leave them out.
      - Where neither this nor O(kube_file) is given, what is played stays as it is.
    type: raw
  kube_file:
    description:
      - A file on the managed host with such documents. Its Python needs the library C(yaml) (python3-yaml) then.
    type: str
  configmap:
    description:
      - Files on the managed host with further documents, such as ConfigMaps.
    type: list
    elements: str
  annotation:
    description:
      - Annotations to add to what becomes a pod.
    type: dict
    aliases: [annotations]
  network:
    description:
      - The networks that the pods are on. C(podman-default-kube-network), which Podman makes, where it is not given.
    type: list
    elements: str
  userns:
    description:
      - The mode of the user namespace of all pods, as V(auto) or V(keep-id).
    type: str
  log_driver:
    description:
      - Where what containers write goes, as V(journald) or V(k8s-file).
    type: str
  log_opt:
    description:
      - Options of O(log_driver), such as C(path), C(max_size) and C(tag).
    type: dict
    aliases: [log_options]
  tls_verify:
    description:
      - Whether registries must show certificates that hold, when images are pulled. As C(registries.conf) says where it
        is not given.
    type: bool
  recreate:
    description:
      - Whether all pods are made anew even if nothing changed.
    type: bool
    default: false
  remove_orphans:
    description:
      - Whether containers that somebody else put into its pods are removed. Else they stay, and a pod that would have
        to go with them is refused.
    type: bool
    default: false
  keep_volumes:
    description:
      - Whether volumes that it made stay when it goes, and what is in them.
    type: bool
    default: true
  linger:
    description:
      - Whether that of a plain user goes on without a login session.
    type: bool
    default: true
seealso:
  - module: strata.virt.podman_play_info
  - module: strata.virt.podman_pod
  - module: strata.virt.podman_quadlet
"""

EXAMPLES = r"""
- name: A web server with its settings and its data
  strata.virt.podman_play:
    name: press
    definition:
      - apiVersion: v1
        kind: ConfigMap
        metadata: {name: press-settings}
        data: {GREETING: hello}
      - apiVersion: v1
        kind: Pod
        metadata: {name: press}
        spec:
          containers:
            - name: web
              image: localhost/myweb:1.0
              command: [/bin/busybox, httpd, -f, -p, "8080", -h, /srv]
              envFrom: [{configMapRef: {name: press-settings}}]
              ports: [{containerPort: 8080, hostPort: 8086, hostIP: 127.0.0.1}]
              volumeMounts: [{name: pages, mountPath: /srv}]
          volumes: [{name: pages, persistentVolumeClaim: {claimName: press-pages}}]

- name: Take it away, and the data with it
  strata.virt.podman_play: {name: press, state: absent, keep_volumes: false}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a document, a pod or a container.
  returned: always
  type: list
  elements: dict
  sample:
    - field: documents[ConfigMap/press-settings]
      before: {kind: ConfigMap, data: {GREETING: hello}}
      after: {kind: ConfigMap, data: {GREETING: welcome}}
      effect: recreate
      layer: config
    - {field: "pods[press]", before: as it was played, after: as declared, effect: recreate, layer: config}
restart_required:
  description: Always empty, because a change replaces what it is about.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: press
    status: running
    owner: ""
    options: {name: press, state: started, definition: [{kind: Pod, metadata: {name: press}}]}
    running: null
    facts: {pods: {press: {id: 448af850..., status: Running, containers: {press-web: running}}}, orphans: []}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_play import PodmanPlay


def main() -> None:
    converge(PodmanPlay)


if __name__ == "__main__":
    main()
