"""The nginx that serves metadata trees on a unix socket: its configuration, its unit, whether it runs.

It trusts the header ``X-Headworks-Instance`` (``<network id>/<address>``), so only haproxy may reach its socket: the
directory of the socket is closed to everybody else. What does not belong here: the trees, and the proxies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ....state.metadata import ADDRESS, NETWORK_ID
from ....system import systemd
from ....system.files import read_text, write_file

UNIT = "headworks-metadata-store.service"
SOCKET = "/run/headworks/metadata-socket/store"
HEADER = "X-Headworks-Instance"
CONFIG = "nginx.conf"
PENDING = "pending"  # there while something is being done: a run that was cut off is seen by the next
LOADED = "loaded.conf"  # the configuration nginx was last told to read


@dataclass(frozen=True)
class Accounts:
    """Users and groups of the distribution's packages: nginx runs as ``nginx_user``, the trees are readable for
    ``nginx_group``, and the socket is open to ``haproxy_group``."""

    nginx_user: str
    nginx_group: str
    haproxy_group: str


def unit_text(root: Path, accounts: Accounts) -> str:
    """The unit. systemd makes the socket's directory and takes it away again, so no stale socket stays to be in the way
    after a crash. It is a runtime unit, as the other daemons' are: whoever restores the node after a boot starts it."""
    nginx = systemd.program("nginx")
    return f"""\
[Unit]
Description=Metadata of instances
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
TimeoutStartSec=20
"""


def config_text(root: Path, accounts: Accounts) -> str:
    """nginx's configuration. The tree comes from the header alone; nginx decodes and resolves the path before it looks
    below the tree, so no ``..``, however written, leads out of it."""
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


def problems(root: Path, accounts: Accounts, wanted: bool) -> tuple[str, ...] | None:
    """What is wrong with the server; None when nothing of it is there.

    :param wanted: when not, what it would take to run does not matter.
    """
    unit_file = systemd.RUNTIME_DIR / UNIT
    state = systemd.read_states(UNIT).get(UNIT, systemd.ABSENT) if unit_file.exists() else systemd.ABSENT
    if not unit_file.exists() and not root_remains(root) and not state.running:
        return None
    found = []
    if (root / PENDING).exists():
        found.append("an earlier run was cut off")
    if wanted:
        text = config_text(root, accounts)
        if read_text(root / CONFIG) != text or read_text(root / LOADED) != text:
            found.append(f"{CONFIG} is not as written")
        if not systemd.installed({UNIT: unit_text(root, accounts)}, runtime=True):
            found.append("its unit file is missing or of another version")
        if not state.running:
            found.append(f"nginx is {state.text}")
    return tuple(found)


def root_remains(root: Path) -> bool:
    """Whether anything is in the directory."""
    return root.is_dir() and any(root.iterdir())


@contextmanager
def in_progress(root: Path) -> Iterator[None]:
    """Mark the directory as being worked on; the mark stays when the body does not come to its end."""
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_file(root / PENDING, "")
    yield
    (root / PENDING).unlink(missing_ok=True)


def run_it(root: Path, accounts: Accounts) -> None:
    """Have nginx run with the present configuration: started if it is down, reloaded if its configuration changed."""
    text = config_text(root, accounts)
    write_file(root / CONFIG, text)
    systemd.install({UNIT: unit_text(root, accounts)}, runtime=True)
    if not systemd.read_states(UNIT).get(UNIT, systemd.ABSENT).running:
        systemd.start([UNIT])
    elif read_text(root / LOADED) != text:
        systemd.reload([UNIT])
    write_file(root / LOADED, text)


def remove(root: Path) -> None:
    """Stop it, and remove what there is of it."""
    systemd.stop([UNIT])
    systemd.uninstall([UNIT], runtime=True)
    for name in (CONFIG, LOADED, PENDING):
        (root / name).unlink(missing_ok=True)
    for path in (root / "trees", root / "instances", root):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _variable(header: str) -> str:
    """A request header as nginx names it."""
    return "http_" + header.lower().replace("-", "_")
