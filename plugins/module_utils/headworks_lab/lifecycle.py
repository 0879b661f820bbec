"""The life of a lab: creating it as defined, restarting and stopping nodes, and removing it with all its traces.

An earlier lab may have died together with the process that started it. Therefore a container counts as running only if
a command in it succeeds, and dead containers are removed before any container is started.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import host
from .definition import Lab, Network, Node
from .podman import Podman, PodmanError
from .seed import seed
from .ssh_port import ssh_answers

RUN_DIRECTORY = Path(os.environ.get("HEADWORKS_LAB_RUN", "/run/headworks-lab"))
SETTINGS_BEFORE = RUN_DIRECTORY / "machine-before.json"
LABEL_LAB = "headworks.lab"
LABEL_DIGEST = "headworks.definition"
READY_TIMEOUT = 90.0
WORKERS = 4
RESTART_PAUSES = (0.5, 1.0, 2.0)


class LabError(RuntimeError):
    """The lab cannot be created or changed as defined; the message says which part of it and why."""


class BrokenStore(LabError):
    """podman cannot read its own state; only a new store solves that."""


@dataclass
class Report:
    """The changes made: names of containers and networks by verb."""

    created: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.created or self.removed or self.restarted or self.stopped)


@dataclass(frozen=True)
class Access:
    """How to log in to the nodes: the directory with the private key and ssh sockets, and the public key."""

    directory: Path
    public_key: str


def ensure_key(directory: Path) -> Access:
    """Create the lab's ssh key in ``directory`` if it does not exist, and return how to log in with it."""
    private = directory / "id_ed25519"
    public = directory / "id_ed25519.pub"
    if not (private.exists() and public.exists()):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = new_key("headworks-lab")
        for path, content, mode in ((private, text[0], 0o600), (public, text[1], 0o644)):
            temporary = path.with_suffix(".new")
            temporary.write_text(content)
            temporary.chmod(mode)
            temporary.rename(path)
    return Access(directory, public.read_text())


@contextmanager
def one_at_a_time(cache: Path, name: str) -> Iterator[None]:
    """Hold the lock of a lab while the body runs. The kernel releases the lock when the process ends."""
    path = cache / "lab" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def start(lab: Lab, podman: Podman, access: Access, *, check: bool = False) -> Report:
    """Run the lab as defined: remove dead and outdated nodes, create missing nodes, and wait until they are ready.

    :param check: report the changes without making them.
    :raises LabError: a subnet is in use on this machine, an image is missing, or a node does not become ready.
    """
    report = Report()
    extra = [access.public_key, str(host.uplink_mtu())]
    wanted = {lab.container(node.name): (node, lab.digest(node, extra)) for node in lab.nodes}
    present = _containers(podman, lab)
    stale = [
        name
        for name, container in present.items()
        if name not in wanted or not _is_current(podman, container, wanted[name][1])
    ]
    missing = [node for name, (node, _) in wanted.items() if name not in present or name in stale]
    report.removed = stale
    report.created = [lab.container(node.name) for node in missing]
    if check or not report.changed:
        return report
    _check_subnets(lab)
    _check_images(podman, missing)
    close_connections(access.directory, (lab.management(node) for node in missing))
    _remove_containers(podman, stale)
    if len(stale) == len(present):
        _remove_networks(lab, podman)
    host.remember(SETTINGS_BEFORE)
    _ensure_networks(lab, podman)
    _for_each(missing, lambda node: _create(lab, podman, node, access, wanted[lab.container(node.name)][1]))
    _for_each(missing, lambda node: wait_ready(lab, podman, node))
    return report


def restart(lab: Lab, podman: Podman, directory: Path, names: Sequence[str], *, orderly: bool) -> Report:
    """Reboot nodes: kernel objects are lost, disks stay. Without ``orderly``, the reboot is a power cut."""
    nodes = [node for node in lab.nodes if node.name in names]
    grace = "30" if orderly else "0"
    close_connections(directory, (lab.management(node) for node in nodes))
    _for_each(nodes, lambda node: _reboot(podman, lab.container(node.name), grace))
    _for_each(nodes, lambda node: wait_ready(lab, podman, node))
    return Report(restarted=[lab.container(node.name) for node in nodes])


def _reboot(podman: Podman, container: str, grace: str) -> None:
    """Stop and start a container. The start is repeated: crun may not have removed the killed container yet."""
    podman.run("stop", "--time", grace, container)
    for pause in RESTART_PAUSES:
        if podman.succeeds("start", container):
            return
        time.sleep(pause)
        podman.succeeds("container", "cleanup", container)
    podman.run("start", container)


def stop(lab: Lab, podman: Podman, directory: Path, names: Sequence[str], *, orderly: bool) -> Report:
    """Switch nodes off. :func:`restart` switches them on again; :func:`start` would recreate them."""
    running = {name for name, container in _containers(podman, lab).items() if container["State"] == "running"}
    nodes = [node for node in lab.nodes if node.name in names and lab.container(node.name) in running]
    chosen = [lab.container(node.name) for node in nodes]
    close_connections(directory, (lab.management(node) for node in nodes))
    _for_each(chosen, lambda name: podman.run("stop", "--time", "30" if orderly else "0", name))
    return Report(stopped=chosen)


def close_connections(directory: Path, addresses: Iterable[str] | None = None) -> None:
    """Close the persistent ssh connections to ``addresses``, or all (sockets ``ssh-<address>`` in ``directory``).

    An open connection would make the next command wait for a machine that no longer exists.
    """
    names = None if addresses is None else {f"ssh-{address}" for address in addresses}
    for path in directory.glob("ssh-*"):
        if names is None or path.name in names:
            args = ["ssh", "-o", f"ControlPath={path}", "-O", "exit", "node"]
            subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=20)
            path.unlink(missing_ok=True)


def remove(lab: Lab, podman: Podman, state_directory: Path, *, check: bool = False) -> Report:
    """Remove the lab with all its traces on the machine. Other labs and the caches stay.

    :param check: report the changes without making them.
    """
    containers = list(_containers(podman, lab))
    networks = _networks(lab, podman)
    files = sorted(state_directory.glob("*")) if state_directory.is_dir() else []
    report = Report(removed=[*containers, *networks, *map(str, files)])
    if check:
        return report
    close_connections(state_directory)
    _remove_containers(podman, containers)
    _remove_networks(lab, podman)
    for path in files:
        path.unlink(missing_ok=True)
    if state_directory.is_dir():
        state_directory.rmdir()
    if not podman.json("network", "ls", "--format=json", f"--filter=label={LABEL_LAB}"):
        host.restore(SETTINGS_BEFORE)
    if not podman.containers():
        subprocess.run([str(podman.command), "--lab-release"], check=True)
    return report


def wait_ready(lab: Lab, podman: Podman, node: Node, timeout: float = READY_TIMEOUT) -> None:
    """Wait until the node's default.target is active and its ssh daemon answers.

    :raises LabError: the node is not ready within ``timeout`` seconds; the message has systemd's failed units and jobs.
    """
    end = time.monotonic() + timeout
    container = lab.container(node.name)
    while not (
        ssh_answers(lab.management(node))
        and podman.succeeds("exec", container, "systemctl", "is-active", "default.target")
    ):
        if time.monotonic() > end:
            raise LabError(f"{node.name} is not ready after {timeout:.0f} s: {_unit_problems(podman, container)}")
        time.sleep(0.2)


def _containers(podman: Podman, lab: Lab) -> dict[str, dict[str, Any]]:
    try:
        return {container["Names"][0]: container for container in podman.containers(headworks_lab=lab.name)}
    except PodmanError as error:
        raise BrokenStore(f"podman cannot list containers: {error}") from error


def _is_current(podman: Podman, container: dict[str, Any], digest: str) -> bool:
    """Whether a container is as defined and alive.

    The state that podman reports can be that from before a crash, so a command in the container must succeed as well.
    """
    name = container["Names"][0]
    if container["State"] != "running" or (container.get("Labels") or {}).get(LABEL_DIGEST) != digest:
        return False
    return podman.succeeds("exec", name, "true")


def _remove_containers(podman: Podman, names: Sequence[str]) -> None:
    if not names:
        return
    try:
        podman.run("rm", "--force", "--time", "0", *names)
    except PodmanError as error:
        raise BrokenStore(f"dead containers cannot be removed: {error}") from error


def _ensure_networks(lab: Lab, podman: Podman) -> None:
    present = {network["name"] for network in podman.json("network", "ls", "--format=json")}
    for network in lab.networks:
        if lab.podman_network(network.name) not in present:
            # podman refuses a subnet that an interface of the machine has, such as the bridge that a dead lab left.
            if not host.delete_bridge(lab.bridge(network.name)):
                raise LabError(
                    f"device {lab.bridge(network.name)} is in use: another store has a running lab {lab.name} as well"
                )
            _create_network(lab, podman, network)


def _create_network(lab: Lab, podman: Podman, network: Network) -> None:
    name = lab.podman_network(network.name)
    options = ["--disable-dns", f"--label={LABEL_LAB}={lab.name}"]
    mtu = network.mtu or (host.uplink_mtu() if network.nat else None)
    options += [f"--opt=mtu={mtu}"] if mtu else []
    options += [] if network.nat else ["--internal"]
    options += [f"--subnet={network.subnet}"] if network.subnet else ["--ipam-driver=none"]
    podman.run("network", "create", *options, name)
    # podman 4.3 has no option for the bridge's name, and its numbers for bridges collide with other podman stores.
    path = podman.network_directory / f"{name}.json"
    document = json.loads(path.read_text())
    document["network_interface"] = lab.bridge(network.name)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document, indent=1))
    temporary.rename(path)


def _networks(lab: Lab, podman: Podman) -> list[str]:
    listing = podman.json("network", "ls", "--format=json", f"--filter=label={LABEL_LAB}={lab.name}")
    return [network["name"] for network in listing]


def _remove_networks(lab: Lab, podman: Podman) -> None:
    names = _networks(lab, podman)
    if names:
        podman.run("network", "rm", *names)
    for network in lab.networks:
        host.delete_bridge(lab.bridge(network.name))


def _create(lab: Lab, podman: Podman, node: Node, access: Access, digest: str) -> None:
    name = lab.container(node.name)
    try:
        podman.run("create", "--name", name, *_options(lab, node, digest), node.image, "/sbin/init")
        podman.run("cp", "-", f"{name}:/", stdin=_seed(lab, node, access))
        podman.run("start", name)
    except PodmanError as error:
        raise LabError(f"{node.name} cannot be started: {error}") from error


def _options(lab: Lab, node: Node, digest: str) -> list[str]:
    options = [
        "--hostname",
        node.name,
        "--privileged",
        "--systemd=always",
        "--no-hosts",
        "--dns=none",
        "--pids-limit=-1",
    ]
    options += [f"--label={LABEL_LAB}={lab.name}", f"--label={LABEL_DIGEST}={digest}"]
    # Some machines refuse hard limits above their own.
    options += [f"--ulimit=nofile=1024:{_limit(resource.RLIMIT_NOFILE, 524288)}"]
    options += [f"--ulimit=nproc=4096:{_limit(resource.RLIMIT_NPROC, 4096)}"]
    if Path("/lib/modules", os.uname().release).is_dir():
        options += ["--volume=/lib/modules:/lib/modules:ro"]
    addressed = {network.name for network in lab.networks if network.subnet}
    for interface in node.interfaces:
        settings = [f"interface_name={interface.device}", f"mac={lab.mac(node.name, interface.device)}"]
        if interface.network in addressed:
            settings.append(f"ip={interface.address}")
        options += ["--network", f"{lab.podman_network(interface.network)}:{','.join(settings)}"]
    return options


def _limit(kind: int, wanted: int) -> int:
    most = resource.getrlimit(kind)[1]
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most)


def _seed(lab: Lab, node: Node, access: Access) -> bytes:
    return seed(
        lab,
        node,
        authorized_key=access.public_key,
        host_key=new_key(node.name),
        resolv_conf=host.resolv_conf(),
        hosts=host.extra_hosts(),
    )


def new_key(comment: str) -> tuple[str, str]:
    """A new ed25519 key pair: (private, public)."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "key")
        host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
        return path.read_text(), path.with_suffix(".pub").read_text()


def _check_subnets(lab: Lab) -> None:
    subnets = [network.subnet for network in lab.networks if network.subnet]
    messages = host.clashes(subnets, [lab.bridge(network.name) for network in lab.networks])
    if messages:
        raise LabError(
            f"lab {lab.name}: {'; '.join(messages)}: "
            "use other subnets for the lab (see inventory/lab/group_vars/all/lab.yml)"
        )


def _check_images(podman: Podman, nodes: Iterable[Node]) -> None:
    for image in sorted({node.image for node in nodes}):
        if not podman.succeeds("image", "exists", image):
            raise LabError(f"image {image}: not in the lab's store; scripts/node-image builds it")


def _unit_problems(podman: Podman, container: str) -> str:
    try:
        failed = podman.run(
            "exec", container, "systemctl", "list-units", "--failed", "--plain", "--no-legend", timeout=10
        )
        jobs = podman.run("exec", container, "systemctl", "list-jobs", "--no-legend", timeout=10)
    except PodmanError as error:
        return str(error)
    return f"failed units: {failed.strip() or 'none'}; waiting jobs: {jobs.strip() or 'none'}"


def _for_each(items: Sequence[Any], action: Callable[[Any], object]) -> None:
    """Call ``action`` for every item, in parallel. The first failure is raised after all calls have ended."""
    if not items:
        return
    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(action, item) for item in items]:
            future.result()
