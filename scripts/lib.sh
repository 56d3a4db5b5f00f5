# shellcheck shell=bash disable=SC2034
# Sourced by every script: where things are, and the few steps that they share.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
checkout=$(dirname "$scripts")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/strata
state=${XDG_STATE_HOME:-$HOME/.local/state}/strata
ssh_config=$state/lab/ssh_config
pushed=/opt/strata # where a lab host has this checkout
controller_pythons=(3.14 3.13 3.12 3.11) # newest first
PATH=$PATH:/usr/sbin:/sbin                # mke2fs and others; not on every user's PATH

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

short_hash() { sha256sum | cut -c1-12; }

# find_python VERSION…: the path of the first that is there.
find_python() {
    local version python
    for version in "$@"; do
        # pyenv puts a shim on the PATH for versions that then don't answer: take the real ones.
        for python in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3 $(type -ap "python$version"); do
            if [[ -x $python && $python != */shims/* ]]; then
                echo "$python"
                return
            fi
        done
    done
    return 1
}

# venv NAME PYTHON REQUIREMENTS…: the folder of a virtual environment. A hash of what is in it is part of its
# name, so that clones share it and a changed pin makes a new one.
venv() {
    local name=$1 python=$2 files=("${@:3}") folder
    files=("${files[@]/#/$scripts/requirements-}")
    files=("${files[@]/%/.txt}")
    folder=$cache/venvs/$name-$({ "$python" -V && echo "$python" && cat "${files[@]}"; } | short_hash)
    mkdir -p "$cache/venvs"
    (
        flock 9 # another script may be making the same one
        # The mark comes last: without it, somebody interrupted the making.
        if [[ ! -e $folder/complete || ! -x $folder/bin/python ]]; then
            echo "Making a virtual environment ($name, $("$python" -V)) in $folder" >&2
            rm -rf "$folder"
            "$python" -m venv "$folder"
            "$folder/bin/pip" install --quiet --quiet --disable-pip-version-check "${files[@]/#/-r}" >&2
            touch "$folder/complete"
        fi
    ) 9>"$folder.lock"
    echo "$folder"
}

# Puts the development tools on the PATH, and strata.virt where Ansible looks for collections.
use_dev() {
    "$scripts/bootstrap" base
    dev=$(venv dev "$(find_python "${controller_pythons[@]}")" unit dev)
    tree=$("$scripts/stage" --link)
    export PATH=$dev/bin:$PATH
    export ANSIBLE_COLLECTIONS_PATH=$tree ANSIBLE_HOME=$cache/ansible
    unset PYTHONHOME PYTHONPATH
}

# New lab hosts of the script's own, test1 and so on, as many as are wanted and as this machine carries; hosts counts them.
# They are taken down when the script ends. If it fails, what their consoles said is kept.
own_lab_hosts() {
    local free
    free=$(awk '/^MemAvailable/ { print int($2 / 2 ^ 20) }' /proc/meminfo)
    # A lab host has 6 GiB of memory and, where it is emulated, keeps one processor busy.
    hosts=$(($1 > 1 && $(nproc) > 1 && free >= 14 ? 2 : 1))
    trap own_lab_hosts_down EXIT
    "$scripts/lab" reset -e lab_name=test -e lab_hosts="$hosts"
}

own_lab_hosts_down() {
    local status=$? host
    for host in "$state"/lab/hosts/test*; do
        if ((status != 0)) && [[ -e $host/console.log ]]; then
            cp "$host/console.log" "$state/${host##*/}-console.log"
            echo "What the console of ${host##*/} said is in $state/${host##*/}-console.log" >&2
        fi
    done
    "$scripts/lab" down -e lab_name=test >/dev/null
}

# aloud COMMAND…: what it prints is seen, and is there to be read, too.
aloud() { "$@" | tee >(cat >&2); }

# says_unchanged COMMAND…: runs it; fails where Ansible's recap says that a host was changed, or that none was looked at.
says_unchanged() {
    local said
    said=$(aloud "$@") || return
    if ! grep -qE '^[^ ]+ +: ok=[1-9]' <<<"$said" || grep -E '^[^ ]+ +: ok=.* changed=[1-9]' <<<"$said"; then
        echo "does not leave everything as it is: $*" >&2
        return 1
    fi
}

# The targets most of whose tests need no machine of their own; those that do are marked with machine. And, which are no targets, the
# play of the connection and the documentation's examples.
contained=(
    chroot cloud_init_seed connection docker_compose docker_container docker_container_exec docker_image
    docker_login docker_network docker_prune docker_swarm docker_volume examples libvirt_domain libvirt_network
    libvirt_nwfilter libvirt_pool libvirt_secret libvirt_volume libvirt_xml link namespace netns nspawn_image
    overlay podman_compose podman_container podman_image podman_login podman_network podman_play podman_pod
    podman_prune podman_quadlet podman_secret podman_volume probe qemu_image qemu_vm rootfs seccomp_profile troubleshoot
)

# Whether a container on this machine can stand in for a lab host, and is worth it: root's, where lab hosts are emulated.
containable() {
    ((EUID == 0)) && unshare --mount true 2>/dev/null && ! { [[ -w /dev/kvm ]] && grep -qwE 'vmx|svm' /proc/cpuinfo; }
}

push() { # push HOST, ITS FOLDER, FILES…
    rsync --archive --delete --exclude __pycache__ --rsh "ssh -F $ssh_config" --rsync-path "mkdir -p $2 && rsync" "${@:3}" "$1:$2/"
}

# The code to a lab host. Modules run there without a controller: hence also the part of ansible-core that they import.
push_code() { # push_code HOST
    local ansible copy
    ansible=$(python -c 'import ansible, os; print(os.path.dirname(ansible.__file__))')
    copy=$("$scripts/stage")/ansible_collections/strata/virt
    push "$1" $pushed/ansible "$ansible"/{__init__.py,release.py,module_utils,_vendor,_internal,compat}
    push "$1" $pushed/ansible_collections/strata/virt "$copy"/{playbooks,plugins,tests}
}

# Tests that run on a lab host, on the code that was pushed to it.
run_pytest() { # run_pytest HOST, ARGUMENTS…
    ssh -F "$ssh_config" "$1" "cd $pushed/ansible_collections/strata/virt &&
        PYTHONPATH=$pushed:. PYTHONPYCACHEPREFIX=/var/cache/strata-test PYTHONUNBUFFERED=1 \
            python3 -m pytest -p no:cacheprovider ${*:2}"
}
