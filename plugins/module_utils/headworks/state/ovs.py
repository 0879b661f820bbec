"""Sections ``ovs_bridges`` and ``ovs_ports``: rows of Open vSwitch's database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class OvsBridge:
    """A row of table Bridge. Only these columns are compared; keys of maps that are not desired are left alone.

    ``mac`` fixes the bridge's own MAC (other_config:hwaddr). "" in ``datapath_type``, ``fail_mode`` or ``mac``: the
    bridge keeps its value. ``error`` is set only when a node is read: it is the error that ovs-vswitchd reports.
    """

    name: str
    datapath_type: str = "system"
    fail_mode: str = "secure"
    mac: str = ""
    external_ids: Mapping[str, str] = field(default_factory=dict)
    other_config: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class OvsPort:
    """A Port row with its single Interface.

    ``type`` is "" (an existing system device), ``internal``, ``patch``, ``vxlan``, ``gre`` or ``geneve``. ``tag`` is
    the access VLAN (None: no VLAN), ``trunks`` are the VLANs of a trunk. ``options`` are the Interface's options (peer,
    local_ip, remote_ip, in_key, out_key, df_default). ``external_ids`` go to the *Interface* (iface-id, attached-mac,
    vm-uuid), as Neutron and libvirt write them; ``port_external_ids`` go to the Port row. ``mac`` is the MAC of an
    internal port ("": the port keeps its MAC). ``fake_bridge``: the port is a fake bridge (ovs-vsctl's word) on VLAN
    ``tag``. ``error`` is set only when a node is read: it is the error that ovs-vswitchd reports.
    """

    name: str
    bridge: str
    type: str = ""
    tag: int | None = None
    vlan_mode: str = ""
    trunks: tuple[int, ...] = ()
    mac: str = ""
    mtu: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    port_external_ids: Mapping[str, str] = field(default_factory=dict)
    fake_bridge: bool = False
    error: str = ""
