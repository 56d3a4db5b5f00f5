#!/bin/sh
# What the examples of the documentation take for granted, beyond what site.yml makes. Runs on the lab host.
set -eu

tree=/srv/trees/worker
mkdir -p $tree/bin $tree/usr/bin $tree/usr/lib $tree/etc/ssl $tree/dev $tree/proc $tree/sys $tree/tmp $tree/run $tree/root
mkdir -p $tree/srv/data /srv/data /srv/a /srv/b /srv/jail /srv/www
cp /usr/bin/busybox $tree/bin/busybox
ln -sf busybox $tree/bin/sh
printf 'ID=tiny\n' >$tree/usr/lib/os-release
printf '#!/bin/sh\nexec /bin/busybox sleep 99999\n' >$tree/usr/bin/worker
chmod 755 $tree/usr/bin/worker
[ -e /srv/trees/base ] || cp -a $tree /srv/trees/base

cp /boot/vmlinuz-* /var/lib/libvirt/images/vmlinuz
printf '' | cpio --quiet --create --format=newc >/var/lib/libvirt/images/tiny.cpio
for disk in tiny web; do
    [ -e /srv/$disk.qcow2 ] || qemu-img create -q -f qcow2 /srv/$disk.qcow2 64M
done
[ -e /var/lib/libvirt/images/base.qcow2 ] || qemu-img create -q -f qcow2 /var/lib/libvirt/images/base.qcow2 64M

mkdir -p /srv/myweb
printf 'FROM busybox:latest\nENV GREETING=hello\n' >/srv/myweb/Dockerfile

mkdir -p /srv/mydata
printf 'FROM scratch\nCOPY motd /motd\n' >/srv/mydata/Containerfile
printf 'Hello\n' >/srv/mydata/motd

# An image of Podman for root, and for a user who isn't logged in.
id -u deploy >/dev/null 2>&1 || useradd --create-home deploy
deploy=$(id -u deploy)
import() {
    "$@" podman image exists localhost/myweb:1.0 || "$@" podman import --quiet --change 'STOPSIGNAL SIGKILL' \
        --change 'CMD ["/bin/sh", "-c", "while :; do sleep 3600; done"]' /srv/lab/busybox.tar localhost/myweb:1.0
}
import env
# What is loaded from an archive may run where what stores it doesn't.
[ -e /srv/mysite.tar ] || podman save --quiet --output /srv/mysite.tar localhost/myweb:1.0
systemctl start "user@$deploy.service"
cd /
import setpriv --reuid "$deploy" --regid "$deploy" --init-groups env HOME=/home/deploy USER=deploy LOGNAME=deploy \
    XDG_RUNTIME_DIR="/run/user/$deploy" DBUS_SESSION_BUS_ADDRESS="unix:path=/run/user/$deploy/bus"

mkdir -p /srv/registry
# bcrypt(3) of "correct horse"
cat >/srv/registry/users <<'USERS'
deploy:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2
USERS
cat >/srv/registry/config.yml <<'CONFIG'
version: 0.1
storage: {inmemory: {}}
auth: {htpasswd: {realm: examples, path: /srv/registry/users}}
http: {addr: '127.0.0.1:5019'}
CONFIG
systemctl is-active --quiet strata-registry ||
    systemd-run --quiet --collect --unit strata-registry docker-registry serve /srv/registry/config.yml
until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 5019))' 2>/dev/null; do sleep 1; done

mkdir -p /srv/shop
cat >/srv/shop/compose.yaml <<'COMPOSE'
services:
  web:
    image: "web:1.0"
    healthcheck: {test: [CMD, /bin/busybox, "true"], interval: 30s, start_period: 30s, start_interval: 1s}
    volumes: ["store:/data"]
  worker: {image: "web:1.0", depends_on: [web]}
volumes: {store: {}}
COMPOSE
