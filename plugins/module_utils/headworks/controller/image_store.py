"""The image store of a controller: an nginx that serves images by their digest over HTTPS.

The store's own authority signs the server's certificate. The authority and its key are created here once, and the key
never leaves the controller; nodes get only the authority's certificate. A certificate and its key are in one file, so
that they are replaced together. What does not belong here: the images in the store (``stored_images.py``).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..node.subsystem import Applied, Change, Reading, Scope, Subsystem
from ..system import systemd
from ..system.files import read_text, write_file
from ..system.process import has_tool, run
from .stored_images import STORE

UNIT = "headworks-image-store.service"
SERVER, AUTHORITY = "tls.pem", "authority.pem"  # each has a certificate and its key
CA = "ca.pem"  # the certificate of the authority, for nodes
BEFORE = ("ca.key", "server.key", "server.pem")  # the files of earlier versions
CERTIFICATE_DAYS = 825
AUTHORITY_DAYS = 3650
RENEW_BEFORE_S = 30 * 86400

NGINX_CONF = """\
# Written by headworks: the image store. Every file in images/ bears the digest of its content as its name.
worker_processes auto;
pid /run/headworks-image-store.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    server_tokens off;
    types {{ }}
    default_type application/octet-stream;
    server {{
        listen {port} ssl;
        listen [::]:{port} ssl;
        ssl_certificate {home}/{server};
        ssl_certificate_key {home}/{server};
        ssl_protocols TLSv1.2 TLSv1.3;
        location /images/ {{ root {home}; limit_except GET {{ deny all; }} }}
        location / {{ return 404; }}
    }}
}}
"""
UNIT_TEXT = """\
# Written by headworks.
[Unit]
Description=headworks: image store
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=forking
PIDFile=/run/headworks-image-store.pid
ExecStartPre={nginx} -q -t -c {home}/nginx.conf
ExecStart={nginx} -c {home}/nginx.conf
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
ProtectHome=yes
ProtectSystem=full
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class ImageServer:
    """The HTTPS server. ``names`` are the addresses and host names in its certificate, sorted.

    ``certificate`` is ``valid``, or says what is wrong with the certificate. ``configured`` is whether nginx's
    configuration and unit are as written here, ``running`` whether nginx runs.
    """

    name: str
    port: int
    names: tuple[str, ...]
    certificate: str = "valid"
    configured: bool = True
    running: bool = True


class ImageServerSubsystem(Subsystem[ImageServer]):
    """The store's authority, certificate, configuration and unit, as a single object."""

    kind = "image_server"
    record = ImageServer

    def __init__(self, owner: str | None = None, home: Path = STORE) -> None:
        super().__init__(owner)
        self.home = home

    def read(self, desired: Mapping[str, ImageServer], scope: Scope | None = None) -> Reading[ImageServer]:
        """Return the actual server; an empty reading if neither a configuration nor a certificate exists."""
        conf = read_text(self.home / "nginx.conf")
        if conf is None and not (self.home / SERVER).exists():
            return Reading()
        listen = re.search(r"^\s*listen (\d+) ssl;$", conf or "", re.MULTILINE)
        port = int(listen.group(1)) if listen else 0
        enabled = (systemd.UNIT_DIR / "multi-user.target.wants" / UNIT).is_symlink()
        server = ImageServer(
            name=UNIT,
            port=port,
            names=self._certified_names(),
            certificate=self._certificate_fault() or "valid",
            configured=conf == self._conf(port) and enabled and systemd.installed({UNIT: self._unit()}),
            running=systemd.read_states(UNIT).get(UNIT, systemd.ABSENT).running,
        )
        return Reading({UNIT: server}, frozenset({UNIT}) if self.owner else frozenset())

    def apply(self, changes: Sequence[Change[ImageServer]]) -> Applied:
        """Create what is missing. A new certificate needs only a reload of nginx, so running downloads continue."""
        for change in changes:
            if change.after is not None:
                self._set_up(change.after)
        return Applied()

    def _set_up(self, server: ImageServer) -> None:
        (self.home / "images").mkdir(parents=True, exist_ok=True)
        self._adopt_authority()
        if not self._authority_is_good():
            self._make_authority()
        write_file(self.home / CA, _certificate_of(self.home / AUTHORITY))
        if self._certificate_fault() or self._certified_names() != server.names:
            self._make_certificate(server.names)
        write_file(self.home / "nginx.conf", self._conf(server.port))
        systemd.install({UNIT: self._unit()})
        run(["systemctl", "enable", UNIT])
        if systemd.read_states(UNIT).get(UNIT, systemd.ABSENT).running:
            systemd.reload([UNIT])
        else:
            systemd.start([UNIT])
        for name in BEFORE:
            (self.home / name).unlink(missing_ok=True)

    def _conf(self, port: int) -> str:
        return NGINX_CONF.format(port=port, home=self.home, server=SERVER)

    def _unit(self) -> str:
        return UNIT_TEXT.format(home=self.home, nginx=systemd.program("nginx"))

    def _authority_is_good(self) -> bool:
        return _has_key(self.home / AUTHORITY) and not _expires_soon(self.home / AUTHORITY)

    def _certificate_fault(self) -> str:
        """Return what is wrong with the server's certificate, in a few words; "" if it is valid."""
        certificate, ca = self.home / SERVER, self.home / CA
        if not (has_tool("openssl") and _has_key(certificate)):
            return "missing"
        if not self._authority_is_good() or read_text(ca) != _certificate_of(self.home / AUTHORITY):
            return "its authority is missing or expires soon"
        if _expires_soon(certificate):
            return "expires soon"
        output = run(["openssl", "verify", "-CAfile", str(ca), str(certificate)], ok=(0, 1, 2))
        return "" if output.rstrip().endswith(": OK") else "not signed by this authority"

    def _certified_names(self) -> tuple[str, ...]:
        if not has_tool("openssl") or not (self.home / SERVER).exists():
            return ()
        words = ["openssl", "x509", "-in", str(self.home / SERVER), "-noout", "-ext", "subjectAltName"]
        text = run(words, ok=(0, 1))  # 1: the file is damaged
        return tuple(sorted(re.findall(r"(?:DNS|IP Address):([^\s,]+)", text)))

    def _adopt_authority(self) -> None:
        """Take over the authority of an earlier version, which had two files, if they belong together. So nodes need no
        other certificate."""
        certificate, key = self.home / CA, self.home / "ca.key"
        if (self.home / AUTHORITY).exists() or not (certificate.exists() and key.exists()):
            return
        public = run(["openssl", "x509", "-in", str(certificate), "-noout", "-pubkey"])
        if public == run(["openssl", "pkey", "-in", str(key), "-pubout"]):
            _install(certificate, key, self.home / AUTHORITY)

    def _make_authority(self) -> None:
        with _key_directory(self.home) as work:
            run([
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", f"{work}/ca.key", "-out", f"{work}/ca.pem", "-days", str(AUTHORITY_DAYS),
                "-subj", f"/CN=headworks image store of {os.uname().nodename}",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            ])  # fmt: skip
            _install(Path(work) / "ca.pem", Path(work) / "ca.key", self.home / AUTHORITY)

    def _make_certificate(self, names: Sequence[str]) -> None:
        with _key_directory(self.home) as work:
            run([
                "openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", f"{work}/server.key", "-out", f"{work}/server.csr", "-subj", "/CN=headworks image store",
            ])  # fmt: skip
            extensions = Path(work) / "extensions"
            extensions.write_text(
                f"subjectAltName={','.join(_alternative_name(name) for name in names)}\n"
                "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
            )
            run([
                "openssl", "x509", "-req", "-in", f"{work}/server.csr", "-out", f"{work}/server.pem",
                "-CA", str(self.home / AUTHORITY), "-CAkey", str(self.home / AUTHORITY), "-CAcreateserial",
                "-CAserial", f"{work}/serial", "-days", str(CERTIFICATE_DAYS), "-extfile", str(extensions),
            ])  # fmt: skip
            _install(Path(work) / "server.pem", Path(work) / "server.key", self.home / SERVER)


def authority(home: Path = STORE) -> str:
    """Return the authority's certificate in PEM, or "" if it does not exist yet."""
    return read_text(home / CA) or ""


def _install(certificate: Path, key: Path, target: Path) -> None:
    """Write a certificate and its key to one file."""
    write_file(target, certificate.read_bytes() + key.read_bytes(), mode=0o600)


def _certificate_of(path: Path) -> str:
    """Return the certificate in a file, without its key; "" if there is none."""
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", read_text(path) or "", re.DOTALL)
    return found[0] if found else ""


def _has_key(path: Path) -> bool:
    """Whether a file has a certificate and a key."""
    return bool(_certificate_of(path)) and "PRIVATE KEY-----" in (read_text(path) or "")


def _key_directory(home: Path) -> TemporaryDirectory[str]:
    """Return a temporary directory for new keys. Only root can read it."""
    home.mkdir(parents=True, exist_ok=True)
    return TemporaryDirectory(prefix=".new-", dir=home)


def _expires_soon(certificate: Path) -> bool:
    """Whether a certificate expires soon, or cannot be read."""
    output = run(["openssl", "x509", "-in", str(certificate), "-noout", "-checkend", str(RENEW_BEFORE_S)], ok=(0, 1))
    return "will not expire" not in output


def _alternative_name(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"
