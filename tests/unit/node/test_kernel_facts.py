"""Facts of a node's kernel, from a directory that stands for /."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from headworks.node.host.kernel import kernel

RELEASE = "6.1.0-9-amd64"


def put(root: Path, path: str, text: str | bytes = "") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


def modules(root: Path) -> dict[str, bool]:
    found: dict[str, bool] = kernel(root, RELEASE)["modules"]
    return found


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """A kernel with a directory of modules."""
    put(tmp_path, f"lib/modules/{RELEASE}/modules.builtin", "kernel/drivers/net/vxlan/vxlan.ko\n")
    put(
        tmp_path,
        f"lib/modules/{RELEASE}/modules.dep",
        "kernel/net/openvswitch/openvswitch.ko.xz: kernel/net/nsh/nsh.ko.xz\n"
        "kernel/net/openvswitch/vport-geneve.ko: kernel/net/openvswitch/openvswitch.ko\n"
        "kernel/net/ipv4/ip_gre.ko: kernel/net/ipv4/gre.ko\n",
    )
    return tmp_path


def test_modules_are_built_in_or_loadable(debian: Path) -> None:
    assert modules(debian) == {"openvswitch": True, "vxlan": True, "geneve": False, "ip_gre": True}


def test_a_loaded_module_counts_without_a_file(debian: Path) -> None:
    put(debian, "sys/module/geneve/refcnt")
    assert modules(debian)["geneve"]


def test_a_module_that_only_others_depend_on_is_missing(debian: Path) -> None:
    put(debian, f"lib/modules/{RELEASE}/modules.dep", "kernel/a.ko: kernel/net/openvswitch/openvswitch.ko\n")
    assert modules(debian)["openvswitch"] is False


def test_a_kernel_that_loads_no_modules_has_only_those_that_it_has(debian: Path) -> None:
    put(debian, "proc/sys/kernel/modules_disabled", "1\n")
    assert modules(debian) == {"openvswitch": False, "vxlan": True, "geneve": False, "ip_gre": False}
    put(debian, "sys/module/openvswitch/refcnt")
    assert modules(debian)["openvswitch"]


CONFIG = "CONFIG_OPENVSWITCH=m\nCONFIG_VXLAN=y\n# CONFIG_GENEVE is not set\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [("proc/config.gz", gzip.compress(CONFIG.encode())), (f"boot/config-{RELEASE}", CONFIG.encode())],
)
def test_without_a_directory_of_modules_the_configuration_counts(tmp_path: Path, path: str, text: bytes) -> None:
    put(tmp_path, path, text)
    assert modules(tmp_path) == {"openvswitch": False, "vxlan": True, "geneve": False, "ip_gre": False}


def test_a_container_does_not_know_which_modules_its_kernel_can_load(tmp_path: Path) -> None:
    put(tmp_path, f"boot/config-{RELEASE}", CONFIG)
    put(tmp_path, "run/systemd/container", "podman")
    assert modules(tmp_path) == {"vxlan": True, "geneve": False, "ip_gre": False}


def test_without_any_source_nothing_is_known(tmp_path: Path) -> None:
    assert kernel(tmp_path, RELEASE) == {"release": RELEASE, "modules": {}, "limits": {}}


def test_limits_are_numbers_and_missing_ones_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "proc/sys/net/netfilter/nf_conntrack_max", "262144\n")
    put(tmp_path, "proc/sys/kernel/pid_max", "what\n")
    assert kernel(tmp_path, RELEASE)["limits"] == {"net.netfilter.nf_conntrack_max": 262144}


def test_this_kernel_is_read_without_an_error() -> None:
    facts = kernel()
    assert facts["release"]
    assert facts["limits"]["kernel.pid_max"] > 300
