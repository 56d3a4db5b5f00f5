#!/usr/bin/env bash
# look.sh all|nothing|drift|drifted|marks: what a host of the topology has, by its own tools; or changes it behind its back. Runs there, as root.
set -euo pipefail

pings() { ip netns exec mixed-probe ping -c 1 -W 20 "$1" >/dev/null; }

case $1 in
all)
    # Everything is on the bridge: the ends of the wires, by who has the other one.
    ports=$(ip -brief link show master mixed0)
    [[ $(wc -l <<<"$ports") == 4 && $ports == *mixed-probe* && $ports == *vb-mixed-bu* && $ports == *vnet* ]] || {
        echo "$ports"
        exit 1
    }
    for address in 198.51.100.1 198.51.100.12 198.51.100.13; do pings "$address"; done
    machinectl show --property=State --value mixed-builder | grep -qx running
    lxc-info -sH -n mixed-worker | grep -qx RUNNING
    [[ $(docker inspect --format '{{.State.Status}} {{(index .NetworkSettings.Networks "mixed-front").IPAddress}}' mixed-web) == "running 192.0.2.10" ]]
    [[ $(busybox wget -q -O - http://192.0.2.10/) == hello ]]
    [[ $(podman inspect --format '{{.State.Status}}' mixed-cache) == running ]]
    virsh domstate mixed-vm | grep -qx running
    virsh domiflist mixed-vm | grep -q 'bridge *mixed0'
    ;;
nothing)
    left=$(
        ip -brief link show
        ip netns
        machinectl list --no-legend
        lxc-ls -1
        docker ps -a
        docker network ls
        podman ps -a
        virsh list --all --name
        ls /srv
    )
    ! grep mixed <<<"$left"
    ;;
drift)
    lxc-stop --kill -n mixed-worker
    docker rm --force mixed-web
    ;;
drifted) # and nobody repaired it
    lxc-info -sH -n mixed-worker | grep -qx STOPPED
    [[ -z $(docker ps --all --quiet --filter name=mixed-web) ]]
    ;;
marks) # what is another one when it is made anew
    stat --format=%i /run/netns/mixed-probe
    podman inspect --format '{{.Id}}' mixed-cache
    virsh domuuid mixed-vm
    ;;
esac
