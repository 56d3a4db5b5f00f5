# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of trees: fetched, checked, unpacked so that nothing gets out, and packed.

GNU tar does the unpacking, into an empty directory: it takes the slash off absolute names, refuses those with ``..``,
and makes links that could lead out only when all files are there, so that no member goes through one (tar.info,
"Absolute File Names"; src/extract.c, delayed_links). What it can't know, what is not to be in a tree, is looked for in
the tree afterwards: that is what there is, however the archive was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import ssl
import stat
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import IO, Any

from ..core import command, progress
from ..core.errors import StrataError
from . import complaints
from .complaints import Complaint
from .trees import Work

_CHUNK = 1024**2
_TIMEOUT = 60  # seconds without a byte
_KEEP = ("--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner")
_PACKERS = {
    # First bytes, the program that unpacks what follows, and its package
    b"\x1f\x8b": ("gzip", "gzip"),
    b"BZh": ("bzip2", "bzip2"),
    b"\xfd7zXZ\0": ("xz", "xz-utils (Debian) or xz (Fedora)"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd"),
}

COMPLAINTS = (
    Complaint(
        r"Member name contains '\.\.'", "source", "Such an archive is made to get out of its tree: look who made it"
    ),
    Complaint(
        r"Not a directory|Cannot hard link",
        "source",
        "A member leads through a link that leads out of the tree, or is damaged",
    ),
    Complaint(
        r"does not look like a tar archive|Unexpected EOF|not in \w+ format|corrupt",
        "source",
        "It is no archive, or a part of one",
    ),
    Complaint(r"unrecognized option|unknown option", None, "Install the package tar: GNU tar is needed"),
)


def parse_checksum(value: Any) -> str:
    """A checksum as somebody gives it."""
    text = str(value).lower()
    if not re.fullmatch(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", text):
        raise ValueError("is no checksum: write sha256: or sha512: and its hexadecimal digits")
    return text


def file_checksum(path: str, algorithm: str = "sha256") -> str:
    """The checksum of a file's content, as ``sha256:…``."""
    content = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            content.update(chunk)
    return f"{algorithm}:{content.hexdigest()}"


def fetch(url: str, path: str, *, validate_certs: bool = True) -> None:
    """Copy what is at a URL into a new file.

    Raises:
        StrataError: The server wasn't reached, doesn't have it, or stopped in the middle.
    """
    context = ssl.create_default_context()
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=_TIMEOUT) as answer, open(path, "xb") as file:
            whole = int(answer.headers.get("Content-Length") or 0)
            got = 0
            for chunk in iter(lambda: answer.read(_CHUNK), b""):
                file.write(chunk)
                got += len(chunk)
                progress.say(f"downloaded {got // _CHUNK} MiB" + (f" of {whole // _CHUNK}" if whole else ""))
    except urllib.error.HTTPError as error:
        raise _unfetched(url, f"the server says {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _unfetched(url, f"{getattr(error.reason, 'strerror', None) or error.reason}") from None
    except OSError as error:
        raise _unfetched(url, f"{error.strerror or error}") from None
    if whole and got != whole:
        raise _unfetched(url, f"the connection ended after {got} of {whole} bytes")


def _unfetched(url: str, why: str) -> StrataError:
    return StrataError(
        f"could not download {url}: {why}", option="source", hint="Check the URL, and that the host may reach it"
    )


def unpack(archive: str, work: Work, *, limit: int | None = None) -> None:
    """Unpack an archive into the tree, whatever it is compressed by.

    Args:
        archive: The file.
        work: Where the tree is, an empty directory.
        limit: Bytes of content after which it is given up: what is small when packed may be anything unpacked.

    Raises:
        StrataError: It is no archive, has members that lead out of it, or more content than allowed.
    """
    tar = command.need("tar", "tar")
    argv = [tar, "--extract", "--file=-", f"--directory={work.tree}", "--preserve-permissions", "--same-owner", *_KEEP]
    with (
        tempfile.TemporaryFile() as said,
        _content(archive, said, work) as content,
        _started(argv, work, stdin=subprocess.PIPE, stderr=said, stdout=said) as process,
    ):
        try:
            _feed(process, content, limit)
        except StrataError:
            process.kill()
            raise
        if process.wait() != 0:
            raise _failure(process, said)


def _feed(process: Any, content: IO[bytes], limit: int | None) -> None:
    """Let a program read the content, to its end: only there does it turn out whether it is damaged."""
    done = 0
    for chunk in iter(lambda: content.read(_CHUNK), b""):
        done += len(chunk)
        if limit is not None and done > limit:
            hint = "Allow more, if it is to be that large"
            raise StrataError(f"the archive has more content than {limit} bytes", option="max_size", hint=hint)
        if process.poll():
            break
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(chunk)
        progress.say(f"unpacked {done // _CHUNK} MiB")
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


@contextlib.contextmanager
def _content(archive: str, said: IO[bytes], work: Work) -> Iterator[IO[bytes]]:
    """An archive's content, unpacked by the program that goes with its first bytes."""
    with open(archive, "rb", buffering=0) as file:  # a program that inherits it begins where it really stands
        head = file.read(6)
        file.seek(0)
        packer = next((packer for magic, packer in _PACKERS.items() if head.startswith(magic)), None)
        if packer is None:
            yield file
            return
        with _started([command.need(*packer), "-dc"], work, stdin=file, stdout=subprocess.PIPE, stderr=said) as process:
            try:
                yield process.stdout
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise _failure(process, said)


def _started(argv: list[str], work: Work, **streams: Any) -> Any:
    # AnsibleModule.run_command takes no streams.
    return subprocess.Popen(  # pylint: disable=ansible-bad-function
        argv, env=command.environment(), pass_fds=tuple(work.handles), **streams
    )


def _failure(process: Any, said: IO[bytes]) -> StrataError:
    said.seek(0)
    text = said.read().decode(errors="replace")
    done = subprocess.CompletedProcess(process.args, process.returncode, "", text)
    return complaints.explained(text.splitlines(), COMPLAINTS) or StrataError(command.failure(done), option="source")


def vet(tree: str, *, devices: bool = False, setuid: bool = True) -> None:
    """Look for what is not to be in a tree.

    Args:
        tree: It, and nothing of it may run yet.
        devices: Whether device nodes may be in it. Else those in ``/dev`` are taken out, which whoever runs the tree
            fills itself, and one anywhere else is an error: it opens the host's device to whoever gets at the tree.
        setuid: Whether programs may run with rights of their owner or of their file; else those rights are taken away.

    Raises:
        StrataError: There are device nodes where none should be.
    """
    found = []
    for folder, below, names in os.walk(tree):
        for name in [*below, *names]:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if not devices and (stat.S_ISBLK(mode) or stat.S_ISCHR(mode)):
                inner = os.path.relpath(path, tree)
                if inner.startswith("dev/"):
                    os.unlink(path)
                else:
                    found.append(f"/{os.fsencode(inner).decode(errors='backslashreplace')}")
            elif not setuid and stat.S_ISREG(mode):
                _take_rights(path, mode)
    if found:
        raise StrataError(
            f"it has device nodes outside of /dev: {', '.join(found[:5])}",
            option="devices",
            hint="Allow them with devices: true, if you trust whoever made it",
        )


def _take_rights(path: str, mode: int) -> None:
    if mode & (stat.S_ISUID | stat.S_ISGID):
        os.chmod(path, stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))
    with contextlib.suppress(OSError):  # most files have none
        os.removexattr(path, "security.capability")


def pack(work: Work) -> None:
    """Make an archive of the tree."""
    pack_tree(work.tree, work.archive, work.handles)


def pack_tree(tree: str, path: str, handles: Sequence[int] = ()) -> None:
    """Make an archive of a tree, in the order of names, owners as numbers, with all attributes, compressed as its name
    says.

    Raises:
        StrataError: The disk is full, or something can't be read.
    """
    progress.say("packing it")
    argv = [command.need("tar", "tar"), "--create", f"--file={path}", f"--directory={tree}", "--sort=name"]
    complaints.run([*argv, "--auto-compress", *_KEEP, "."], lambda line: None, COMPLAINTS, handles=handles)


def copy(source: str, path: str) -> None:
    """Put a file's content at a path, in one step."""
    fresh = f"{path}.strata-next"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh)
    with open(source, "rb") as old, open(fresh, "xb") as new:  # "x" follows no link that somebody left there
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())
    os.replace(fresh, path)
