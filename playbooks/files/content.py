# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""content.py WANTED: makes the web page, the web server's image, and what the virtual machine boots, where they are
missing or other. Says what it made, one line each; nothing where all is there.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import http.client
import io
import json
import lzma
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from typing import Any

PAGE = """\
<!doctype html>
<title>strata.virt</title>
<h1>It runs</h1>
<p>In a container without rights.</p>
"""

DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
COPY busybox /bin/sh
LABEL org.strata.demo.recipe={recipe}
WORKDIR /srv/www
USER 65534:65534
EXPOSE 8080
CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/srv/www"]
"""

# The line it repeats is what verify.yml waits for: it says what the guest sees of what was declared.
INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
n=0
while :; do
    cpus=$(/bin/busybox grep -c ^processor /proc/cpuinfo)
    memory=$(/bin/busybox awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo)
    echo "strata-guest: alive, line $n, $cpus cpu, $memory MiB"
    n=$((n + 1))
    /bin/busybox sleep 5
done
"""

# The ELF note that says where such a start begins (Linux, include/xen/interface/elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY).
PVH = re.compile(rb"\x04\0\0\0[\x04\x08]\0\0\0\x12\0\0\0Xen\0", re.DOTALL)


class Docker(http.client.HTTPConnection):
    """The daemon's API, on its socket."""

    def __init__(self) -> None:
        super().__init__("localhost", timeout=120)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/docker.sock")

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        self.request(method, path, body, {"Content-Type": "application/x-tar"})
        answer = self.getresponse()
        return answer.status, answer.read().decode()


def read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path: str, content: bytes, mode: int = 0o644) -> None:
    """All of a file or nothing."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    os.replace(f"{path}.new", path)


def made(what: str) -> None:
    print(f"made {what}", flush=True)


def busybox() -> bytes:
    """A static busybox: it has nothing else to bring along."""
    path = shutil.which("busybox", path="/usr/bin:/bin:/usr/sbin:/sbin")
    if path is None:
        sys.exit("There is no busybox: install busybox-static (Debian) or busybox (Fedora)")
    return read(path) or b""


def page(path: str) -> None:
    if read(path) != PAGE.encode():
        write(path, PAGE.encode())
        made(path)


def image(name: str, program: bytes) -> None:
    """Have Docker build the image, unless it has one by the same recipe."""
    recipe = hashlib.sha256(DOCKERFILE.encode() + program).hexdigest()
    docker = Docker()
    status, answer = docker.ask("GET", f"/images/{name}/json")
    labels = json.loads(answer)["Config"].get("Labels") if status == 200 else None
    if (labels or {}).get("org.strata.demo.recipe") == recipe:
        return
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for path, content, mode in (
            ("Dockerfile", DOCKERFILE.format(recipe=recipe).encode(), 0o644),
            ("busybox", program, 0o755),
        ):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    status, answer = docker.ask("POST", f"/build?t={name}&rm=1&forcerm=1", context.getvalue())
    if status != 200 or "errorDetail" in answer:
        sys.exit(f"Docker did not build {name}: {answer}")
    made(name)


def unpacked(kernel: bytes) -> bytes | None:
    """The kernel itself, an ELF file that QEMU starts directly (PVH), out of a bzImage.

    Where the processor is emulated, a kernel that unpacks itself takes a minute more. What is where in a bzImage:
    Linux, Documentation/arch/x86/boot.rst.
    """
    if kernel[0x202:0x206] != b"HdrS":
        return None
    start = ((kernel[0x1F1] or 4) + 1) * 512 + int.from_bytes(kernel[0x248:0x24C], "little")
    payload = kernel[start : start + int.from_bytes(kernel[0x24C:0x250], "little")]
    tools = {b"\x28\xb5\x2f\xfd": ["zstd", "-dcq"], b"\x02\x21\x4c\x18": ["lz4", "-dcq"]}
    elf = b""
    if payload.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=io.BytesIO(payload)) as file:
            elf = file.read()
    elif payload.startswith((b"\xfd7zXZ\x00", b"\x5d\x00\x00")):
        elf = lzma.LZMADecompressor().decompress(payload)
    elif payload[:4] in tools and shutil.which(tools[payload[:4]][0]):
        # The last four bytes are the size, and no part of what the tool knows.
        elf = subprocess.run(
            tools[payload[:4]], input=payload[:-4], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        ).stdout
    return elf if elf.startswith(b"\x7fELF") and PVH.search(elf) else None


def kernel(path: str) -> None:
    """The host's own kernel. The result bears the time of its source: another one makes it anew."""
    release = platform.release()
    own = [f"/boot/vmlinuz-{release}", f"/lib/modules/{release}/vmlinuz"]
    there = list(filter(os.path.exists, [*own, *sorted(glob.glob("/boot/vmlinuz-*"), reverse=True)]))
    if not there:
        sys.exit(f"There is no kernel for a virtual machine: neither {own[0]} nor any other in /boot")
    source = there[0]
    stamp = os.stat(source).st_mtime_ns
    if os.path.exists(path) and os.stat(path).st_mtime_ns == stamp:
        return
    packed = read(source) or b""
    write(path, unpacked(packed) or packed)
    os.utime(path, ns=(stamp, stamp))
    made(path)


Entry = tuple[str, int, tuple[int, int], bytes]


def cpio(entries: list[Entry]) -> bytes:
    """An archive of path, mode, device numbers and content, as the kernel wants its first file system
    (Linux, Documentation/driver-api/early-userspace/buffer-format.rst)."""
    out = bytearray()
    for place, (path, mode, device, content) in enumerate([*entries, ("TRAILER!!!", 0, (0, 0), b"")], 1):
        name = path.encode() + b"\0"
        numbers = (place, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % number for number in numbers) + name
        out += bytes(-len(out) % 4)
        out += content
        out += bytes(-len(out) % 4)
    return bytes(out)


def initrd(path: str, program: bytes, init: str = INIT) -> None:
    """A file system in memory with one program, and what is run in it."""
    folders: list[Entry] = [(name, 0o040755, (0, 0), b"") for name in ("bin", "dev", "proc")]
    content = cpio(
        [
            *folders,
            ("dev/console", 0o020600, (5, 1), b""),
            ("bin/busybox", 0o100755, (0, 0), program),
            ("init", 0o100755, (0, 0), init.encode()),
        ]
    )
    if read(path) != content:
        write(path, content)
        made(path)


def network(name: str) -> None:
    """libvirt's network of that name: there now, and after a boot."""
    virsh = ["virsh", "--quiet", "--connect", "qemu:///system"]
    shown = subprocess.run([*virsh, "net-info", name], stdout=subprocess.PIPE, text=True, check=True).stdout
    facts = dict(line.replace(" ", "").split(":", 1) for line in shown.splitlines() if ":" in line)
    for fact, step, what in (("Active", "net-start", "active"), ("Autostart", "net-autostart", "start at boot")):
        if facts.get(fact) != "yes":
            subprocess.run([*virsh, step, name], stdout=subprocess.DEVNULL, check=True)
            made(f"the network {name} {what}")


def main() -> None:
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    program = busybox()
    page(wanted["page"])
    image(wanted["image"], program)
    kernel(wanted["kernel"])
    initrd(wanted["initrd"], program)
    network(wanted["network"])


if __name__ == "__main__":
    os.umask(0o022)
    os.environ["LC_ALL"] = "C"
    main()
