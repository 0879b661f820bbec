"""What ovs_bridge and ovs_port are compared with: options of the modules openvswitch_bridge and openvswitch_port of the
collection openvswitch.openvswitch, and the ovs-vsctl commands that its documentation and its test suite name for them.

``@`` stands for a prefix of names (``ovs_twins.py``). The tests are in ``test_ovs_modules_upstream.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# The stage of every case. ``@b0`` has a port ``@p``, the fake bridge ``@f`` for VLAN 405 with port ``@q``, and a bond.
STAGE = """
device @m1
device @m2
device @eth2
add-br @b0 -- set bridge @b0 datapath_type=netdev fail_mode=secure external_ids:foo=bar
add-br @b1 -- set bridge @b1 datapath_type=netdev
add-br @f @b0 405
add-port @b0 @p tag=10 -- set interface @p type=internal -- set port @p external_ids:foo=bar
add-port @f @q -- set interface @q type=internal
add-port @b1 @r -- set interface @r type=internal
add-bond @b0 @bond @m1 @m2
"""
NETDEV = " -- set bridge {} datapath_type=netdev"  # the test's machine may have no kernel module


# The stage of an assignment.
SMALL_STAGE = """
add-br @b0 -- set bridge @b0 datapath_type=netdev fail_mode=secure external_ids:foo=bar other_config:k=v
add-port @b0 @p tag=10 -- set interface @p type=internal -- set port @p external_ids:foo=bar other_config:k=v
add-port @b0 @r tag=11 -- set interface @r type=internal
"""


@dataclass(frozen=True)
class Case:
    """Options of a module, and the commands that they mean. ``refused`` is part of the message of an option that the
    collection refuses, too; ``note`` is part of a note."""

    says: str
    options: dict[str, Any]
    commands: list[str] = field(default_factory=list)
    refused: str = ""
    note: str = ""


def example(**options: Any) -> dict[str, Any]:
    return {"state": "present", **options}


NODE = {
    "iface-id": "server1-vifeth6",
    "attached-mac": "00:00:5E:00:53:23",
    "vm-id": "server1",
    "iface-status": "active",
}

# The examples of the documentation and the cases of the test suite, in their order.
BRIDGES = [
    Case(
        "example: create a bridge",
        example(bridge="@br-int", datapath_type="netdev"),
        ["add-br @br-int" + NETDEV.format("@br-int")],
    ),
    Case(
        "example: create a fake bridge",
        example(bridge="@br-int", parent="@b1", vlan=405),
        ["add-br @br-int @b1 405"],
    ),
    Case(
        "example: create an integration bridge",
        example(bridge="@br-int", fail_mode="secure", external_ids={"bridge-id": "br-int"}, datapath_type="netdev"),
        [
            "add-br @br-int" + NETDEV.format("@br-int"),
            "set-fail-mode @br-int secure",
            "br-set-external-id @br-int bridge-id br-int",
        ],
    ),
    Case("suite: absent, idempotent", {"bridge": "@br9", "state": "absent"}),
    Case("suite: absent removes the bridge", {"bridge": "@b0", "state": "absent"}, ["del-br @b0"]),
    Case("suite: present, idempotent", example(bridge="@b0", fail_mode="secure", external_ids={"foo": "bar"})),
    Case("suite: updates the VLAN", example(bridge="@f", parent="@b0", vlan=300), ["set port @f tag=300"]),
    Case(
        "suite: adds an external id",
        example(bridge="@b0", fail_mode="secure", external_ids={"bip": "bop"}),
        ["br-set-external-id @b0 bip bop"],
    ),
    Case(
        "suite: an empty external id is cleared",
        example(bridge="@b0", fail_mode="secure", external_ids={"foo": ""}),
        ["br-set-external-id @b0 foo"],
    ),
    Case(
        "suite: changes the fail mode",
        example(bridge="@b0", fail_mode="standalone", external_ids={"foo": "bar"}),
        ["set-fail-mode @b0 standalone"],
    ),
    Case(
        "suite: runs set",
        example(bridge="@br9", fail_mode="secure", external_ids={"foo": "bar"}, set="bridge @br9 datapath_type=netdev"),
        [
            "add-br @br9 -- set bridge @br9 datapath_type=netdev",
            "set-fail-mode @br9 secure",
            "br-set-external-id @br9 foo bar",
        ],
    ),
    Case("absent removes a fake bridge with its ports", {"bridge": "@f", "state": "absent"}, ["del-br @f"]),
    Case(
        "an empty mapping clears all external ids",
        {"bridge": "@b0", "external_ids": {}},
        ["br-set-external-id @b0 foo"],
    ),
    Case("fail_mode null changes nothing", {"bridge": "@b0", "fail_mode": None}),
    Case("fail_mode null of a list changes nothing", {"bridges": [{"bridge": "@b0", "fail_mode": None}]}),
    Case("an empty fail_mode changes nothing", {"bridge": "@b0", "fail_mode": ""}),
    Case("vlan 0 without parent changes nothing", {"bridge": "@b0", "vlan": 0}),
    Case("a fake bridge for VLAN 0", {"bridge": "@g", "parent": "@b0", "vlan": 0}, ["add-br @g @b0 0"]),
    Case(
        "an external id of a fake bridge",
        {"bridge": "@f", "external_ids": {"a": "b"}},
        ["br-set-external-id @f a b"],
    ),
    Case(
        "fail_mode is checked",
        {"bridge": "@b0", "fail_mode": "open"},
        ["set-fail-mode @b0 open"],
        "secure or standalone",
    ),
    Case(
        "a second fake bridge for the VLAN",
        {"bridge": "@g", "parent": "@b0", "vlan": 405},
        ["add-br @g @b0 405"],
        "already has the fake bridge @f",
    ),
    Case(
        "a fake bridge of a fake bridge",
        {"bridge": "@g", "parent": "@f", "vlan": 3},
        ["add-br @g @f 3"],
        "a fake bridge",
    ),
    Case("VLAN 4096", {"bridge": "@g", "parent": "@b0", "vlan": 4096}, ["add-br @g @b0 4096"], "from 0 to 4095"),
    Case("the name of a port", {"bridge": "@p"}, ["add-br @p"], "@p is a port of bridge @b0"),
    Case("the name of a fake bridge's port", {"bridge": "@q"}, ["add-br @q"], "@q is a port of bridge @f"),
    Case("the name of a bond", {"bridge": "@bond"}, ["add-br @bond"], "@bond is a port of bridge @b0"),
    Case("the name of a bond's member", {"bridge": "@m1"}, ["add-br @m1"], "@m1 is a member of the bond @bond"),
    Case(
        "a fail mode of a fake bridge",
        {"bridge": "@f", "fail_mode": "standalone"},
        ["set-fail-mode @f standalone"],
        "has no fail_mode of its own",
    ),
]

PORTS = [
    Case("example: create a port", example(bridge="@b0", port="@eth2"), ["add-port @b0 @eth2"]),
    # The example's own command fails: ovs-vsctl wants at least one column.
    Case(
        "example: a set without columns",
        example(bridge="@b0", port="@eth2", set="Interface @eth2"),
        ["add-port @b0 @eth2"],
    ),
    Case(
        "example: a port with a tag",
        example(bridge="@b0", port="@eth2", tag=10, set="Interface @eth2"),
        ["add-port @b0 @eth2 tag=10"],
    ),
    Case(
        "example: external ids",
        example(bridge="@b0", port="@eth2", external_ids=NODE),
        ["add-port @b0 @eth2", *(f"set port @eth2 external_ids:{key}='\"{value}\"'" for key, value in NODE.items())],
    ),
    Case("suite: absent, idempotent", {"bridge": "@b0", "port": "@eth2", "state": "absent"}),
    Case("suite: absent removes the port", {"bridge": "@b0", "port": "@p", "state": "absent"}, ["del-port @b0 @p"]),
    Case("suite: present, idempotent", example(bridge="@b0", port="@p", tag=10, external_ids={"foo": "bar"})),
    Case(
        "suite: creates a port",
        example(bridge="@b0", port="@eth2", tag=10, external_ids={"foo": "bar"}),
        ["add-port @b0 @eth2 tag=10", "set port @eth2 external_ids:foo=bar"],
    ),
    Case(
        "suite: changes the tag",
        example(bridge="@b0", port="@p", tag=20, external_ids={"foo": "bar"}),
        ["set port @p tag=20"],
    ),
    Case(
        "suite: changes an external id",
        example(bridge="@b0", port="@p", tag=10, external_ids={"foo": "baz"}),
        ["set port @p external_ids:foo=baz"],
    ),
    Case(
        "suite: adds an external id",
        example(bridge="@b0", port="@p", tag=10, external_ids={"foo2": "bar2"}),
        ["set port @p external_ids:foo2=bar2"],
    ),
    Case(
        "suite: null removes an external id",
        example(bridge="@b0", port="@p", tag=10, external_ids={"foo": None}),
        ["remove port @p external_ids foo"],
    ),
    Case(
        "suite: runs set",
        example(
            bridge="@b0",
            port="@eth2",
            tag=10,
            external_ids={"foo": "bar"},
            set="port @eth2 other_config:stp-path-cost=10",
        ),
        [
            "add-port @b0 @eth2 tag=10 -- set port @eth2 other_config:stp-path-cost=10",
            "set port @eth2 external_ids:foo=bar",
        ],
    ),
    # The suite's own second command sets the column "type" of a port, which no port has.
    Case(
        "suite: runs several sets",
        example(
            bridge="@b0",
            port="@n",
            tag=10,
            external_ids={"foo": "bar"},
            set=["port @n other_config:stp-path-cost=10", "interface @n type=internal"],
        ),
        [
            "add-port @b0 @n tag=10 -- set port @n other_config:stp-path-cost=10 -- set interface @n type=internal",
            "set port @n external_ids:foo=bar",
        ],
    ),
    Case(
        "two sets in one text, with a comma",
        {"bridge": "@b0", "port": "@n", "set": "Interface @n type=internal,Port @n tag=5"},
        ["add-port @b0 @n -- set Interface @n type=internal -- set Port @n tag=5"],
    ),
    Case("a tag that is text", {"bridge": "@b0", "port": "@p", "tag": "20"}, ["set port @p tag=20"]),
    Case("tag 0", {"bridge": "@b0", "port": "@p", "tag": 0}, ["set port @p tag=0"]),
    Case("an empty list clears the tag", {"bridge": "@b0", "port": "@p", "tag": []}, ["set port @p tag=[]"]),
    Case("[] clears the tag", {"bridge": "@b0", "port": "@p", "tag": "[]"}, ["set port @p tag=[]"]),
    Case("a new port with the tag []", {"bridge": "@b0", "port": "@eth2", "tag": "[]"}, ["add-port @b0 @eth2 tag=[]"]),
    Case("set clears the tag", {"bridge": "@b0", "port": "@p", "set": "port @p tag=[]"}, ["set port @p tag=[]"]),
    Case("an omitted tag changes nothing", {"bridge": "@b0", "port": "@p"}),
    Case("tag null changes nothing", {"bridge": "@b0", "port": "@p", "tag": None}),
    Case("an empty tag changes nothing", {"bridge": "@b0", "port": "@p", "tag": ""}),
    Case("a new port with an empty tag", {"bridge": "@b0", "port": "@eth2", "tag": ""}, ["add-port @b0 @eth2"]),
    Case("no external ids change nothing", {"bridge": "@b0", "port": "@p", "external_ids": {}}),
    Case(
        "an empty external id is removed",
        {"bridge": "@b0", "port": "@p", "external_ids": {"foo": ""}},
        ["remove port @p external_ids foo"],
    ),
    Case("a port of a fake bridge", {"bridge": "@f", "port": "@eth2"}, ["add-port @f @eth2"]),
    Case(
        "a port is removed from its fake bridge", {"bridge": "@f", "port": "@q", "state": "absent"}, ["del-port @f @q"]
    ),
    Case(
        "a port of a fake bridge is not on its parent",
        {"bridge": "@b0", "port": "@q", "state": "absent"},
        note="on bridge @f, not on @b0",
    ),
    Case(
        "a port of the parent is not on the fake bridge",
        {"bridge": "@f", "port": "@p", "state": "absent"},
        note="on bridge @b0, not on @f",
    ),
    Case(
        "a port of another bridge is not removed",
        {"bridge": "@b0", "port": "@r", "state": "absent"},
        note="on bridge @b1, not on @b0",
    ),
    Case(
        "the bridge itself is not removed", {"bridge": "@b0", "port": "@b0", "state": "absent"}, note="it is a bridge"
    ),
    Case("another bridge is not removed", {"bridge": "@b0", "port": "@b1", "state": "absent"}, note="it is a bridge"),
    Case("a fake bridge is not removed", {"bridge": "@b0", "port": "@f", "state": "absent"}, note="it is a bridge"),
    Case("a fake bridge's own port stays", {"bridge": "@f", "port": "@f", "state": "absent"}, note="it is a bridge"),
    Case("a bridge is not removed by its name alone", {"port": "@b0", "state": "absent"}, note="it is a bridge"),
    Case("a bond's member is not removed", {"bridge": "@b0", "port": "@m1", "state": "absent"}),
    Case("a bond is removed", {"bridge": "@b0", "port": "@bond", "state": "absent"}, ["del-port @b0 @bond"]),
    Case("another bridge", {"bridge": "@b0", "port": "@b1"}, ["add-port @b0 @b1"], "@b1: is a bridge"),
    Case("another bridge, on a fake bridge", {"bridge": "@f", "port": "@b1"}, ["add-port @f @b1"], "@b1: is a bridge"),
    Case("the parent, on its fake bridge", {"bridge": "@f", "port": "@b0"}, ["add-port @f @b0"], "@b0: is a bridge"),
    Case("a fake bridge", {"bridge": "@b0", "port": "@f"}, ["add-port @b0 @f"], "@f: is a fake bridge"),
    Case(
        "a fake bridge, on another bridge", {"bridge": "@b1", "port": "@f"}, ["add-port @b1 @f"], "@f: is a fake bridge"
    ),
    Case("a bond's member", {"bridge": "@b0", "port": "@m1"}, ["add-port @b0 @m1"], "a member of the bond @bond"),
    Case("tag 4096", {"bridge": "@b0", "port": "@p", "tag": 4096}, ["set port @p tag=4096"], "from 0 to 4095"),
    Case("a tag that is no number", {"bridge": "@b0", "port": "@p", "tag": "ten"}, ["set port @p tag=ten"], "tag ten"),
    Case("two tags", {"bridge": "@b0", "port": "@p", "tag": "[5,6]"}, ["set port @p tag=[5,6]"], "tag [5,6]"),
]

# What stands after "set" in an ovs-vsctl command, on an existing port or bridge. ovs-vsctl itself says what is right.
SETS = r"""
port @p other_config={a=b}
port @p other_config={a=b,c=d}
port @p other_config='{a="b c", d=e}'
port @p other_config=a=b,c=d
port @p other_config={}
port @p external_ids={}
port @p external_ids={foo=bar}
port @p external_ids={a=b} external_ids:c=d
port @p other_config={a=b} other_config:c=d
interface @p options={a=b}
interface @p external_ids={iface-id=x} external_ids:attached-mac='"00:00:5E:00:53:23"'
interface @p external_ids:attached-mac=00:00:5E:00:53:23
bridge @b0 other_config={stp-priority=0x7800}
bridge @b0 external_ids={}
bridge @b0 external-ids:a=b
bridge @b0 ext:a=b
bridge @b0 stp=true
bridge @b0 stp_enable=yes mcast=on
bridge @b0 protocols=OpenFlow13,OpenFlow14
bridge @b0 protocols=[OpenFlow10,OpenFlow13]
bridge @b0 protocols=[]
bridge @b0 fail_mode=[]
bridge @b0 fail=standalone
bridge @b0 flood_vlans=1-5,9
BRIDGE @b0 STP_ENABLE=true
br @b0 stp=true
int @p ofport_req=77
Interface @p ofport_request=78 ingress_policing_rate=1000
int @p mtu_r=1400
int @p mtu_request=[]
int @b0 mtu_request=1400
port @b0 other_config:a=b
port @r tag=7
port @r tag=7 trunks=[]
port @p tag=5 vlan_mode=access
port @p tag=[]
port @p trunks=1,2,3 vlan_mode=trunk
port @p trunks=[1,2,3]
port @p trunks='[1, 2, 3]'
port @p trunks='1 2 3'
port @p trunks=10-14
port @p other_config:note=\"ab\"
port @p other_config:note='"a b"'
port @p other_config:\"a=b\"=c
port @p other_config:note="a b"
port @p other_config:note='"say \"hi\""'
port @p other_config:note={a=b}
port @p other_config:note=a,b
port @p other_config:note='""'
port @p 'other_config:a b=c'
port @p other_config:a=b=c
port @p bond_updelay=-5
port @p other_config={a=b
port @p other_config={a=b}x
port @p other_config={a}
port @p other_config={a=b,a=c}
port @p other_config:a
port @p other_config:a=
port @p other_config=
port @p tag=
port @p tag={}
port @p tag=five
port @p tag=5000
port @p tag=-1
port @p tag=[5,6]
port @p tag:a=5
port @p trunks=3-1
port @p trunks=1,1
port @p trunks=[1,2
port @p vlan_mode=both
port @p nonsense=1
port @p name=x
port @p bond=1
port @p other_config:note='"ab'
port @p other_config:note=ab\\
port
int @p ofport_request=0
int @p mtu_request=0
bridge @b0 stp_enable=perhaps
bridge @b0 stp_enable=[]
bridge @b0 protocols=OpenFlow99
bridge @b0 fail_mode=open
bridge @b0 st=true
bridge @none stp_enable=true
i @p type=internal
nonsense @p tag=5
"""
