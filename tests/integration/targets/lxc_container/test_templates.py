# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers made by LXC's templates: of an image server, of files, and of an OCI image, none of them started."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.lab.driver import Failed, call, run

TOP, CACHE = Path("/var/lib/lxc"), Path("/var/cache/lxc")
NAME, OTHER = "strata-made", "strata-later"


@pytest.fixture(autouse=True)
def _clean():
    yield
    for name in (NAME, OTHER):
        call("lxc_container", {"name": name, "state": "absent"})


@pytest.fixture
def image(tmp_path):
    """The two archives of an image: how it is set up, and its tree."""
    tree = tmp_path / "tree"
    for folder in ("bin", "etc", "dev"):
        (tree / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    (tmp_path / "config").write_text("lxc.include = LXC_TEMPLATE_CONFIG/common.conf\nlxc.arch = x86_64\n")
    (tmp_path / "expiry").write_text("99999999999\n")
    files = {"meta.tar.xz": ("config", "expiry"), "rootfs.tar.xz": ("tree",)}
    for archive, members in files.items():
        with tarfile.open(tmp_path / archive, "w:xz", preset=0) as file:
            for member in members:
                file.add(tmp_path / member, "." if member == "tree" else member)
    return tmp_path


@contextlib.contextmanager
def image_server(folder: Path):
    """An image server with one image, and whom it is known to by its certificate."""
    place = folder / "images/tiny"
    place.mkdir(parents=True)
    for archive in ("meta.tar.xz", "rootfs.tar.xz"):
        shutil.copy(folder / archive, place)
    (folder / "meta/1.0").mkdir(parents=True)
    (folder / "meta/1.0/index-system").write_text("tiny;1;amd64;default;20260101_00:00;/images/tiny\n")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", str(key))
    run("openssl", "req", "-x509", *made, "-out", str(certificate), *subject)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings = folder / "wgetrc"
    settings.write_text(f"ca_certificate = {certificate}\ntries = 1\n")
    os.environ["WGETRC"] = str(settings)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        del os.environ["WGETRC"]
        server.shutdown()
        server.server_close()
        thread.join()


def made(source: dict, name: str = NAME) -> str:
    """The configuration of a container that was foretold, made and left alone by a second run."""
    spec = {"name": name, "source": source, "state": "stopped", "memory": "64M"}
    assert call("lxc_container", spec, check=True)["changed"]
    assert not (TOP / name).exists()
    assert call("lxc_container", spec)["changed"]
    assert call("lxc_container", spec)["changed"] is False
    assert (TOP / name / "rootfs/bin/busybox").stat().st_mode & 0o111
    text = (TOP / name / "config").read_text()
    assert "lxc.cgroup2.memory.max = 67108864" in text
    return text


def test_of_an_image_server(image):
    with image_server(image) as server:
        download = {"distribution": "tiny", "release": "1", "architecture": "amd64", "server": server}
        with pytest.raises(Failed, match="Couldn't find a matching image"):
            call("lxc_container", {"name": NAME, "source": {"download": {**download, "release": "2"}}})
        assert not (TOP / NAME).exists()
        assert "lxc.arch = x86_64" in made({"download": download})
    assert (CACHE / "download/tiny/1/amd64/default/rootfs.tar.xz").exists()
    made({"download": download}, OTHER)  # the server is gone: of what was kept
    shutil.rmtree(CACHE / "download/tiny")


def test_of_files(image):
    local = {"metadata": str(image / "meta.tar.xz"), "tree": str(image / "rootfs.tar.xz")}
    assert "lxc.arch = x86_64" in made({"local": local})


def test_of_an_oci_image(image):
    layout = image / "layout"
    run("umoci", "init", "--layout", str(layout))
    run("umoci", "new", "--image", f"{layout}:web")
    run("umoci", "insert", "--image", f"{layout}:web", str(image / "tree"), "/")
    settings = ("--config.entrypoint", "/bin/busybox", "--config.cmd", "httpd", "--config.env", "GREETING=hello")
    run("umoci", "config", "--image", f"{layout}:web", *settings)
    text = made({"oci": f"oci:{layout}:web"})
    (entry,) = [line for line in text.splitlines() if line.startswith("lxc.execute.cmd")]
    assert entry.replace("'", " ").replace('"', " ").split() == ["lxc.execute.cmd", "=", "/bin/busybox", "httpd"]
    assert "lxc.environment = GREETING=hello" in text
