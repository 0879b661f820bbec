"""Settings that headworks does not act on yet are warned of, or refused."""

from __future__ import annotations

import pytest
from headworks.model.errors import PlanError
from headworks.plan.resolve import resolve
from headworks.wiring.documents import AVAILABLE
from inventories import facts_of, s1


def warnings_of(key: str, value: object) -> str:
    inventory = s1()
    inventory["cloud"][key] = value
    return "\n".join(resolve(inventory, None, facts_of(inventory), available=AVAILABLE).warnings)


def test_a_cloud_without_pending_settings_has_no_warning() -> None:
    inventory = s1()
    warnings = resolve(inventory, None, facts_of(inventory)).warnings
    assert [warning for warning in warnings if "not acted on" in warning] == []


def test_security_groups_are_checked_and_not_enforced() -> None:
    group = {"web": {"rules": [{"direction": "ingress", "protocol": "tcp", "ports": 80}]}}
    assert "cloud_security_groups: web: is checked, but not acted on yet" in warnings_of("cloud_security_groups", group)


def test_every_run_is_warned_that_nothing_is_filtered_unless_that_was_chosen() -> None:
    inventory = s1()
    unset = resolve(inventory, None, facts_of(inventory), available=AVAILABLE).warnings
    assert [line for line in unset if line.startswith("cloud_firewall_driver: 'openvswitch': nothing is filtered yet")]
    assert "nothing is filtered yet" in warnings_of("cloud_firewall_driver", "openvswitch")
    assert "filtered" not in warnings_of("cloud_firewall_driver", "none")


def test_ipv6_subnets_get_no_router_advertisements() -> None:
    inventory = s1()
    subnets = inventory["cloud"]["cloud_networks"]["internal2"]["subnets"]
    subnets["six"] = {"cidr": "fd00:22::/64", "ip_version": 6}
    warnings = "\n".join(resolve(inventory, None, facts_of(inventory)).warnings)
    assert "internal2.six: is checked, but not acted on yet" in warnings


@pytest.mark.parametrize(
    ("key", "value"), [("cloud_l2_mechanism", "linuxbridge"), ("cloud_firewall_driver", "iptables_hybrid")]
)
def test_an_unavailable_mechanism_is_refused_and_not_replaced_by_another(key: str, value: str) -> None:
    with pytest.raises(PlanError, match=f"{key}: '{value}': is not available yet"):
        warnings_of(key, value)
