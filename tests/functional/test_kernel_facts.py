"""The facts of this machine's kernel agree with what it does."""

from __future__ import annotations

import subprocess
import time

import pytest
from headworks.node.host.kernel import kernel
from shell import sh

# Module → its link as Open vSwitch makes it.
LINKS = {
    "vxlan": ("vxlan", "external", "dstport", "0"),
    "geneve": ("geneve", "external"),
    "ip_gre": ("gretap", "external"),
}


def test_openvswitch_makes_a_kernel_bridge_exactly_if_the_kernel_has_the_module(unique: str) -> None:
    there = kernel()["modules"].get("openvswitch")
    if there is None:
        pytest.skip("this container does not know which modules its kernel can load")
    try:
        sh("ovs-vsctl", "--no-wait", "add-br", unique, "--", "set", "bridge", unique, "datapath_type=system")
        deadline = time.monotonic() + 3
        while not (made := sh("ovs-vsctl", "get", "bridge", unique, "datapath_id").strip() not in ("[]", "")):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert made is there
    finally:
        sh("ovs-vsctl", "--no-wait", "--if-exists", "del-br", unique)


@pytest.mark.usefixtures("private_root")
@pytest.mark.parametrize("module", LINKS)
def test_a_tunnel_link_can_be_made_exactly_if_the_kernel_has_its_module(module: str) -> None:
    there = kernel()["modules"].get(module)
    if there is None:
        pytest.skip("this container does not know which modules its kernel can load")
    words = ["ip", "link", "add", "t0", "type", *LINKS[module]]
    assert (subprocess.run(words, check=False, capture_output=True).returncode == 0) is there
