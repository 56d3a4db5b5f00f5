# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to a program in a container: what is written and read is told apart, however it is cut into pieces."""

from __future__ import annotations

import socket
import threading

from ansible_collections.strata.virt.plugins.module_utils.engines.container_files import talked


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def heard(pieces: list[bytes], stdin: bytes | None = None, tty: bool = False) -> tuple[tuple[bytes, bytes], bytes]:
    """What was understood of a daemon that says these pieces once it has read all of the input, and that input."""
    ours, theirs = socket.socketpair()
    taken = bytearray()

    def daemon() -> None:
        while stdin is not None and (block := theirs.recv(65536)):
            taken.extend(block)
        for piece in pieces:
            theirs.sendall(piece)
        theirs.close()

    other = threading.Thread(target=daemon)
    other.start()
    with ours, ours.makefile("rb") as reader:
        said = talked(reader, stdin, tty)
    other.join()
    return said, bytes(taken)


def test_output_and_errors_are_told_apart():
    whole = frame(1, b"one ") + frame(2, b"oops") + frame(1, b"two")
    cut = [whole[place : place + 3] for place in range(0, len(whole), 3)]
    assert heard(cut) == ((b"one two", b"oops"), b"")


def test_input_goes_in_whole_and_ends():
    data = bytes(1 << 21)
    assert heard([frame(1, b"done")], data) == ((b"done", b""), data)
    assert heard([frame(1, b"done")], b"") == ((b"done", b""), b"")


def test_a_terminal_has_no_frames():
    assert heard([b"a\r\n", b"b"], tty=True) == ((b"a\r\nb", b""), b"")
