#!/usr/bin/env bash
# guests.sh up FOLDER ENGINE… | down FOLDER: on a host, as root: one guest of each engine, made by hand and not by this
# collection. All of them have the host's /usr, and with it its Python, and in FOLDER/NAME what is /exchange in the guest.
# Besides there are trees: one that is busybox alone, and one whose shell is hostile.
# FOLDER/unshare.py, which is the engine of that name, makes the sets of namespaces.
set -euo pipefail

verb=$1 folder=$2
engines=" ${*:3} "

tree() { # tree DIRECTORY: an own root file system, but for /usr
    mkdir -p "$1"/{dev,etc,exchange,home/app,proc,root,run,sys,tmp,usr,var/tmp}
    ln -sfn usr/bin "$1/bin"
    ln -sfn usr/sbin "$1/sbin"
    for lib in /lib*; do
        [[ ! -L $lib ]] || ln -sfn "usr$lib" "$1$lib"
    done
    chmod 1777 "$1/tmp" "$1/var/tmp"
    printf '%s\n' root:x:0:0:root:/root:/bin/sh app:x:4321:4321:app:/home/app:/bin/sh >"$1/etc/passwd"
    printf '%s\n' root:x:0: app:x:4321: >"$1/etc/group"
    # The password of root is strata.
    printf '%s\n' "root:$(openssl passwd -6 strata):19000::::::" 'app:*:19000::::::' >"$1/etc/shadow"
    chmod 640 "$1/etc/shadow"
    cp -a /etc/pam.d /etc/security /etc/login.defs /etc/os-release /etc/ld.so.cache "$1/etc"
    [[ ! -d /etc/alternatives ]] || cp -a /etc/alternatives "$1/etc"
    chown -R 4321:4321 "$1/home/app"
    # What a guest could lead a host astray with: on the host, this is another file.
    ln -sfn "$folder/victim" "$1/leak"
    ln -sfn "$folder/out" "$1/out"
    mkdir -p "$1$folder/out"
}

usr() { # usr DIRECTORY
    mount --bind /usr "$1/usr"
    mount -o remount,ro,bind "$1/usr"
    mount --rbind /dev "$1/dev"
    mount --make-rslave "$1/dev"
    mount -t proc proc "$1/proc"
}

shared() { # shared NAME: the folder that is /exchange in the guest
    mkdir -p "$folder/$1"
    chmod 1777 "$folder/$1"
    echo "$folder/$1"
}

has() { [[ $engines == *" $1 "* ]]; }

up() {
    mkdir -p "$folder/out"
    echo untouched >"$folder/victim"

    if has chroot; then
        tree "$folder/a 'tree'"
        usr "$folder/a 'tree'"
        mount --bind "$(shared chroot)" "$folder/a 'tree'/exchange"

        tree "$folder/hostile"
        usr "$folder/hostile"
        mount --bind "$(shared hostile)" "$folder/hostile/exchange"
        rm "$folder/hostile/bin"
        mkdir "$folder/hostile/bin"
        printf '%s\n' '#!/usr/bin/sh' 'echo garbage; echo garbage >&2' \
            'exec /usr/bin/sh "$@"' >"$folder/hostile/bin/sh"
        chmod 755 "$folder/hostile/bin/sh"

        mkdir -p "$folder/busybox"/{bin,dev,etc,exchange,root,tmp}
        mknod -m 666 "$folder/busybox/dev/null" c 1 3
        cp "$(command -v busybox)" "$folder/busybox/bin/busybox"
        chroot "$folder/busybox" /bin/busybox --install /bin
        echo root:x:0:0:root:/root:/bin/sh >"$folder/busybox/etc/passwd"
        mount --bind "$(shared busybox)" "$folder/busybox/exchange"
    fi
    if has process; then
        tree "$folder/process.tree"
        shared process >/dev/null
        setsid unshare --mount --uts --ipc --net --pid --fork --kill-child bash -ec "
            $(declare -f usr)
            hostname of-process
            usr '$folder/process.tree'
            mount --bind '$folder/process' '$folder/process.tree/exchange'
            exec chroot '$folder/process.tree' /bin/sh -c 'echo \$\$ >/exchange/ready; exec sleep 86400'" \
            </dev/null >/dev/null 2>&1 &
        echo $! >"$folder/unshare.pid"
        until [[ -e $folder/process/ready ]]; do sleep 0.1; done
        cat "/proc/$(<"$folder/unshare.pid")/task/$(<"$folder/unshare.pid")/children" >"$folder/process.pid"
    fi
    if has namespace; then
        shared namespace >/dev/null
        python3 -IS "$folder/unshare.py" make strata-guest kinds=net,uts,ipc,mnt,pid hostname=of-namespace loopback=yes
        python3 -IS "$folder/unshare.py" make strata-twice kinds=uts
    fi
    if has netns; then
        shared netns >/dev/null
        ip netns add strata-guest-net
        ip netns add strata-twice
    fi
    if has nspawn; then
        tree "$folder/nspawn.tree"
        systemd-run --quiet --collect --unit=strata-guest-nspawn --property=Delegate=yes \
            systemd-nspawn --quiet --keep-unit --machine=strata-nspawn --directory="$folder/nspawn.tree" --private-users=no \
            --hostname=of-nspawn --bind-ro=/usr --bind="$(shared nspawn):/exchange" --as-pid2 /bin/sleep 86400
    fi
    if has lxc; then
        tree "$folder/lxc.tree"
        mkdir -p /var/lib/lxc/strata-lxc
        printf '%s\n' "lxc.rootfs.path = dir:$folder/lxc.tree" lxc.uts.name=of-lxc lxc.net.0.type=empty \
            'lxc.init.cmd = /bin/sleep 86400' 'lxc.mount.auto = proc:mixed sys:mixed' 'lxc.cap.drop = sys_module' \
            'lxc.mount.entry = /usr usr none bind,ro 0 0' \
            "lxc.mount.entry = $(shared lxc) exchange none bind 0 0" >/var/lib/lxc/strata-lxc/config
        lxc-start -n strata-lxc
        mkdir -p /var/lib/lxc/strata-lxc-off
        cp /var/lib/lxc/strata-lxc/config /var/lib/lxc/strata-lxc-off
    fi
    for engine in docker podman; do
        if has $engine; then
            [[ -d $folder/image.tree ]] || tree "$folder/image.tree"
            tar -C "$folder/image.tree" -c . | $engine import - strata-guest:1 >/dev/null
            groups=()
            # In the container of scripts/contained, control groups of version 1 aren't Podman's to make.
            [[ $engine == docker || -e /sys/fs/cgroup/cgroup.controllers ]] || groups=(--cgroups=disabled)
            $engine run --detach "${groups[@]}" --name strata-$engine --hostname of-$engine --volume /usr:/usr:ro \
                --volume "$(shared $engine):/exchange" --network none --env FROM_IMAGE=yes \
                strata-guest:1 /bin/sleep 86400 >/dev/null
            $engine create --name strata-$engine-off strata-guest:1 /bin/true >/dev/null
        fi
    done
}

down() { # Whatever of it there is
    # What the tests left behind to be looked at
    { grep -lzs ^STRATA_CASE= /proc/[0-9]*/environ || true; } | cut -d/ -f3 | xargs -r kill -KILL || true
    for engine in docker podman; do
        if type $engine >/dev/null 2>&1; then
            $engine rm --force strata-$engine strata-$engine-off >/dev/null 2>&1 || true
            $engine rmi strata-guest:1 >/dev/null 2>&1 || true
        fi
    done
    for name in strata-lxc strata-lxc-off; do
        [[ ! -e /var/lib/lxc/$name ]] || { lxc-stop --kill -n $name || true; }
        rm -rf "/var/lib/lxc/$name"
    done
    [[ ! -e $folder/nspawn.tree ]] || systemctl stop strata-guest-nspawn || true
    for name in strata-guest-net strata-twice; do
        [[ ! -e /run/netns/$name ]] || ip netns del $name
    done
    for name in strata-guest strata-twice; do
        [[ ! -e /run/strata/namespaces/$name ]] || python3 -IS "$folder/unshare.py" remove $name
    done
    [[ ! -e $folder/unshare.pid ]] || kill -KILL "$(<"$folder/unshare.pid")" || true
    awk -v top="$folder/" '{ point = $5; gsub(/\\040/, " ", point); if (index(point, top) == 1) print point }' /proc/self/mountinfo |
        tac | while IFS= read -r point; do umount -l "$point"; done
    rm -rf --one-file-system "$folder"
}

"$verb"
