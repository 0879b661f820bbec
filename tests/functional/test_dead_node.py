"""ssh with the options of ansible.cfg gives up a node that stops answering, although it has a connection to it."""

from __future__ import annotations

import configparser
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from headworks.system.netns import in_netns
from shell import sh
from wires import host, join, namespace

CONFIG = Path(__file__).resolve().parents[2] / "ansible.cfg"
NODE = "192.0.2.21"


@pytest.fixture
def node(unique: str, tmp_path: Path) -> Iterator[list[str]]:
    """Return the ssh command of the control node, a namespace. Another namespace is the node; it has an sshd."""
    names = (f"{unique}-c", f"{unique}-n")
    for name in names:
        namespace(name)
    join(names[0], "eth0", names[1], "eth0")
    host(names[0], "eth0", "192.0.2.1/24")
    host(names[1], "eth0", f"{NODE}/24")
    for key in ("host", "user"):
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key))
    Path("/run/sshd").mkdir(exist_ok=True)
    settings = {
        "ListenAddress": NODE,
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "user.pub",
        "StrictModes": "no",
        "PidFile": "none",
    }
    words = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    with in_netns(names[1]):
        daemon = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", "/dev/null", *words])
    config = configparser.ConfigParser()
    config.read(CONFIG)
    known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    socket = ["-o", f"ControlPath={tmp_path}/%h", "-o", f"ConnectTimeout={config['defaults']['timeout']}"]
    arguments = shlex.split(config["ssh_connection"]["ssh_args"])
    yield ["ssh", *arguments, *known, *socket, "-i", str(tmp_path / "user"), f"root@{NODE}"]
    subprocess.run(["ssh", "-o", f"ControlPath={tmp_path}/%h", "-O", "exit", NODE], check=False, capture_output=True)
    daemon.terminate()
    daemon.wait(10)
    for name in names:
        sh("ip", "netns", "delete", name)


def test_a_node_that_dies_under_a_kept_connection_is_given_up_within_20_seconds(node: list[str], unique: str) -> None:
    with in_netns(f"{unique}-c"):
        deadline = time.monotonic() + 10
        while subprocess.run([*node, "true"], check=False).returncode:
            assert time.monotonic() < deadline, "sshd does not answer"
            time.sleep(0.1)
        assert subprocess.run([*node, "-O", "check"], check=False).returncode == 0, "the connection is kept"
        task = subprocess.Popen([*node, "sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    assert task.poll() is None
    rules = "table netdev dead { chain in { type filter hook ingress device eth0 priority 0; policy drop; }; }"
    sh("nft", rules, netns=f"{unique}-n")
    begin = time.monotonic()
    assert task.wait(40) == 255
    assert 5 < time.monotonic() - begin < 25
