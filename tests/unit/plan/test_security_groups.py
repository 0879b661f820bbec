"""The resolved cloud carries the mechanism, the firewall driver, and the resolved security groups."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.plan.cloud import Cloud, SecurityRule
from headworks.plan.resolve import resolve
from inventories import facts_of, instance, s1


def resolved(groups: dict[str, Any] | None = None, **cloud: Any) -> Cloud:
    """S1 with security groups, and with further variables of the cloud."""
    inventory = s1()
    inventory["cloud"].update({"cloud_security_groups": groups or {}, **cloud})
    return resolve(inventory, None, facts_of(inventory)).cloud


def only_rule(**rule: Any) -> SecurityRule:
    """The resolved rule of a group that has only this rule."""
    (resolved_rule,) = resolved({"peers": {}, "web": {"rules": [rule]}}).security_groups["web"].rules
    return resolved_rule


def groups_of(nic: Any, **variables: Any) -> tuple[str, ...]:
    """The security groups of the port of an instance with a single NIC."""
    inventory = s1()
    inventory["cloud"]["cloud_security_groups"] = {"web": {}, "db": {}}
    inventory["instances"]["vm9"] = instance(nic, **variables)
    (port,) = resolve(inventory, None, facts_of(inventory)).cloud.instances["vm9"].ports
    return port.security_groups


@pytest.mark.parametrize("driver", ["openvswitch", "none"])
def test_the_cloud_names_its_mechanism_and_its_firewall_driver(driver: str) -> None:
    cloud = resolved(cloud_firewall_driver=driver)
    assert (cloud.l2_mechanism, cloud.firewall_driver) == ("openvswitch", driver)


def test_the_default_group_allows_all_egress_and_ingress_from_its_members() -> None:
    cloud = resolved()
    assert set(cloud.security_groups) == {"default"}
    assert cloud.security_groups["default"].rules == (
        SecurityRule("egress", 4),
        SecurityRule("ingress", 4, remote_group="default"),
        SecurityRule("egress", 6),
        SecurityRule("ingress", 6, remote_group="default"),
    )


def test_a_declared_default_group_replaces_the_built_in_default_group() -> None:
    cloud = resolved({"default": {"rules": [{"direction": "egress"}]}})
    assert cloud.security_groups["default"].rules == (SecurityRule("egress", 4),)


def test_a_group_keeps_the_order_of_its_rules_and_its_id_depends_only_on_its_name() -> None:
    rules = [{"protocol": "tcp", "ports": 80}, {"protocol": "tcp", "ports": 22}]
    first, second = (resolved({"web": group}).security_groups for group in ({"stateful": False, "rules": rules}, {}))
    assert [rule.ports for rule in first["web"].rules] == [(80, 80), (22, 22)]
    assert not first["web"].stateful
    assert first["web"].id == second["web"].id != first["default"].id


@pytest.mark.parametrize(
    ("rule", "version", "protocol"),
    [
        ({}, 4, None),
        ({"ethertype": "IPv6"}, 6, None),
        ({"remote_cidr": "2001:db8::/64"}, 6, None),
        ({"remote_cidr": "10.0.0.0/8", "protocol": "tcp"}, 4, 6),
        ({"protocol": "icmp"}, 4, 1),
        ({"protocol": "icmp", "ethertype": "IPv6"}, 6, 58),
        ({"protocol": "icmpv6"}, 6, 58),
        ({"protocol": 47}, 4, 47),
        ({"protocol": 200}, 4, 200),
    ],
)
def test_a_resolved_rule_has_its_ip_version_and_the_number_of_its_protocol(
    rule: dict[str, Any], version: int, protocol: int | None
) -> None:
    resolved_rule = only_rule(**rule)
    assert (resolved_rule.ip_version, resolved_rule.protocol) == (version, protocol)


def test_a_resolved_rule_keeps_its_other_fields() -> None:
    assert only_rule(direction="egress", protocol="udp", ports="53-54", remote_cidr="192.0.2.0/24") == SecurityRule(
        "egress", 4, 17, (53, 54), remote_cidr="192.0.2.0/24"
    )
    assert only_rule(protocol="icmp", icmp_type=8, icmp_code=0, remote_group="peers") == SecurityRule(
        "ingress", 4, 1, icmp_type=8, icmp_code=0, remote_group="peers"
    )


def test_a_nic_has_its_own_groups_or_those_of_its_instance() -> None:
    assert groups_of("internal") == ("default",)
    assert groups_of("internal", security_groups=["web", "db", "web"]) == ("web", "db")
    assert groups_of({"network": "internal", "security_groups": ["db"]}, security_groups=["web"]) == ("db",)
    assert groups_of({"network": "internal", "security_groups": []}) == ()


def test_a_nic_without_port_security_is_in_no_group() -> None:
    assert groups_of({"network": "internal", "port_security": False}, security_groups=["web"]) == ()


def test_only_ports_of_guests_are_in_groups() -> None:
    cloud = resolved()
    router = cloud.routers["r1"]
    assert router.gateway is not None
    others = [router.gateway, *router.interfaces, *(port for ports in cloud.dhcp_ports.values() for port in ports)]
    assert {port.security_groups for port in others} == {()}
