"""The metadata server: an nginx that serves the metadata trees on a unix socket. Its configuration and its unit.

The server trusts the header ``X-Headworks-Instance`` (``<network id>/<address>``), so only haproxy may connect to its
socket: no other user can enter the socket's directory. What does not belong here: the trees (``trees.py``), and the
proxies (``proxy.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ....state.metadata import ADDRESS, NETWORK_ID
from ....state.places import GUESTS_UNIT
from ....system import systemd
from ....system.files import read_text, write_file

UNIT = "headworks-metadata-store.service"
SOCKET = "/run/headworks/metadata-socket/store"
HEADER = "X-Headworks-Instance"
CONFIG = "nginx.conf"
PENDING = "pending"  # exists while a run changes the directory; the next run sees by it that a run was killed
LOADED = "loaded.conf"  # a copy of the configuration that nginx has read


@dataclass(frozen=True)
class Accounts:
    """Users and groups of the distribution's packages. nginx runs as ``nginx_user``, ``nginx_group`` can read the
    trees, and ``haproxy_group`` can connect to the socket."""

    nginx_user: str
    nginx_group: str
    haproxy_group: str


def unit_text(root: Path, accounts: Accounts) -> str:
    """Return the unit. systemd creates and deletes the socket's directory, so no stale socket remains after a crash.
    The unit is below /run like those of the other daemons: the restore at boot writes and starts it again."""
    nginx = systemd.program("nginx")
    return f"""\
[Unit]
Description=Metadata of instances
Before={GUESTS_UNIT}
StartLimitIntervalSec=0

[Service]
Type=forking
PIDFile=/run/headworks/metadata-socket/pid
RuntimeDirectory=headworks/metadata-socket
RuntimeDirectoryMode=0750
Group={accounts.haproxy_group}
ExecStart={nginx} -c {root}/{CONFIG}
ExecReload={nginx} -t -q -c {root}/{CONFIG}
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
Restart=always
RestartSec=1
TimeoutStartSec=90
"""


def config_text(root: Path, accounts: Accounts) -> str:
    """Return nginx's configuration. Only the header selects the tree. nginx decodes and normalizes the path before it
    opens a file below the tree, so a path with ``..`` in any encoding does not leave the tree."""
    return f"""\
# Written by headworks: changes made here are overwritten.
user {accounts.nginx_user};
worker_processes 1;
pid /run/headworks/metadata-socket/pid;
error_log syslog:server=unix:/dev/log,nohostname,tag=metadata_store warn;
events {{
    worker_connections 1024;
}}
http {{
    access_log off;
    server_tokens off;
    default_type text/plain;
    types {{
        application/json json;
    }}
    client_max_body_size 1k;
    sendfile on;
    map ${_variable(HEADER)} $tree {{
        default "";
        "~^{NETWORK_ID}/{ADDRESS}$" ${_variable(HEADER)};
    }}
    server {{
        listen unix:{SOCKET};
        root {root}/instances/$tree;
        if ($tree = "") {{
            return 403;
        }}
        if ($request_method !~ "^(GET|HEAD)$") {{
            return 405;
        }}
        location ~ /\\. {{
            return 404;
        }}
        location / {{
            try_files $uri $uri/.listing =404;
        }}
    }}
}}
"""


def find_problems(root: Path, accounts: Accounts, desired: bool) -> tuple[str, ...] | None:
    """Return what is wrong with the server; None if the node has no part of it.

    :param desired: whether the server must run. If not, its configuration, its unit and its state are not compared.
    """
    unit_file = systemd.RUNTIME_DIR / UNIT
    state = systemd.read_states(UNIT).get(UNIT, systemd.ABSENT) if unit_file.exists() else systemd.ABSENT
    if not unit_file.exists() and not has_files(root) and not state.running:
        return None
    problems = []
    if (root / PENDING).exists():
        problems.append("an earlier run did not complete")
    if desired:
        text = config_text(root, accounts)
        if read_text(root / CONFIG) != text or read_text(root / LOADED) != text:
            problems.append(f"{CONFIG} differs from the desired configuration or is not loaded")
        if not systemd.installed({UNIT: unit_text(root, accounts)}, runtime=True):
            problems.append("its unit file is missing or of another version")
        if not state.running:
            problems.append(f"nginx is {state.text}")
    return tuple(problems)


def has_files(root: Path) -> bool:
    """Return whether the directory exists and is not empty."""
    return root.is_dir() and any(root.iterdir())


@contextmanager
def marked_pending(root: Path) -> Iterator[None]:
    """Mark the directory as pending while the body runs. If the body does not complete, the mark stays."""
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_file(root / PENDING, "")
    yield
    (root / PENDING).unlink(missing_ok=True)


def run_server(root: Path, accounts: Accounts) -> None:
    """Write configuration and unit, and start nginx if it does not run or reload it if its configuration changed."""
    text = config_text(root, accounts)
    write_file(root / CONFIG, text)
    systemd.install({UNIT: unit_text(root, accounts)}, runtime=True)
    if not systemd.read_states(UNIT).get(UNIT, systemd.ABSENT).running:
        systemd.start([UNIT])
    elif read_text(root / LOADED) != text:
        systemd.reload([UNIT])
    write_file(root / LOADED, text)


def remove_server(root: Path) -> None:
    """Stop nginx, and delete its unit, its files and the empty directories."""
    systemd.stop([UNIT])
    systemd.uninstall([UNIT], runtime=True)
    for name in (CONFIG, LOADED, PENDING):
        (root / name).unlink(missing_ok=True)
    for path in (root / "trees", root / "instances", root):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _variable(header: str) -> str:
    """Return the name of nginx's variable for a request header."""
    return "http_" + header.lower().replace("-", "_")
