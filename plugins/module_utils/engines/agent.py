# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's Python runs to enter a virtual machine by its guest agent (QEMU Guest Agent Protocol Reference).

The agent runs a program for whoever asks over the channel of the machine, keeps what it wrote, and hands that out when
it has ended. So nothing is seen of a program before its end, and none can be answered while it runs.
"""

from __future__ import annotations

MOST_WRITTEN = 2 << 20
"""Bytes that a program may write: in Base64 less than libvirt has in a message (src/rpc/virnetprotocol.x: 4 MiB)."""

SCRIPT = r"""
import base64, json, sys, time
import libvirt, libvirt_qemu

url, name, path, argv = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
most = 1 << 16  # bytes in one message: the agent takes a long one in bit by bit, and answers nothing meanwhile
begun = False
libvirt.registerErrorHandler(lambda *_said: None, None)


def ask(verb, **arguments):
    words = json.dumps({"execute": verb, "arguments": arguments})
    return json.loads(libvirt_qemu.qemuAgentCommand(machine, words, 60, 0))["return"]


def run(argv, data=b""):
    given = {"input-data": base64.b64encode(data).decode()} if data else {}
    how = {"path": argv[0], "arg": argv[1:], "env": ["PATH=" + path], "capture-output": True}
    pid, pause = ask("guest-exec", **how, **given)["pid"], 0.02
    while True:
        done = ask("guest-exec-status", pid=pid)
        if done["exited"]:
            return done
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def kept(data):
    file = base64.b64decode(run(["mktemp"])["out-data"]).decode().strip()
    handle = ask("guest-file-open", path=file, mode="w")
    for start in range(0, len(data), most):
        block = base64.b64encode(data[start : start + most]).decode()
        ask("guest-file-write", handle=handle, **{"buf-b64": block})
    ask("guest-file-close", handle=handle)
    return file


data, file = sys.stdin.buffer.read(), None
try:
    machine = libvirt.open(url).lookupByName(name)
    if len(data) > most:
        file = kept(data)
        argv, data = ["/bin/sh", "-c", "exec \"$@\" <\"$0\"", file, *argv], b""
    begun = True
    done = run(argv, data)
    if file:
        run(["rm", "-f", file])
except libvirt.libvirtError as error:
    print(error, file=sys.stderr)
    sys.exit(137 if begun else 69)
sys.stdout.buffer.write(base64.b64decode(done.get("out-data", "")))
sys.stderr.buffer.write(base64.b64decode(done.get("err-data", "")))
sys.exit(128 + done["signal"] if "signal" in done else done["exitcode"])
"""
"""Arguments: libvirt's URI, the machine, the PATH inside, and the program with its own, which reads this input."""
