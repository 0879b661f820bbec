"""``cloud_*`` variables that differ between hosts are named with both values and their hosts."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.control.same_everywhere import Comparison

GROUPS = {
    "all": ["network1", "compute1", "compute2", "vm1", "vm2"],
    "network": ["network1"],
    "compute": ["compute1", "compute2"],
    "instances": ["vm1", "vm2"],
}


def problems(**hosts: dict[str, Any]) -> list[str]:
    """The problems of hosts with these variables; ``all`` has the variables of all of them."""
    everywhere = hosts.pop("all", {})
    comparison = Comparison()
    for name in ("network1", "compute1", "compute2"):
        comparison.node(name, {**everywhere, **hosts.get(name, {})})
    for name in ("vm1", "vm2"):
        comparison.instance(name, {**everywhere, **hosts.get(name, {})})
    return comparison.problems(GROUPS)


RULE = "must be the same on all nodes; set it for group all"


def test_variables_that_are_the_same_on_all_hosts_give_no_message() -> None:
    networks = {"web": {"mtu": 1400}}
    assert problems(all={"cloud_name": "a", "cloud_networks": networks}, network1={"node_enabled": True}) == []


def test_equal_values_of_several_files_are_the_same() -> None:
    equal = {name: {"cloud_networks": {"web": {"mtu": 1400}}} for name in ("network1", "compute1", "compute2")}
    assert problems(**equal) == []


def test_a_variable_of_a_group_is_named_with_both_values_and_the_group() -> None:
    theirs = {"cloud_name": "b"}
    assert problems(all={"cloud_name": "a"}, compute1=theirs, compute2=theirs) == [
        f"cloud_name: 'a' on network1 (group network), 'b' on compute1, compute2 (group compute): {RULE}"
    ]


def test_a_variable_that_only_some_nodes_have_is_refused() -> None:
    assert problems(network1={"cloud_name": "a"}) == [
        f"cloud_name: 'a' on network1 (group network), not set on compute1, compute2 (group compute): {RULE}"
    ]
    assert problems(compute2={"cloud_name": "a"}) == [
        f"cloud_name: not set on network1, compute1, 'a' on compute2: {RULE}"
    ]


def test_only_the_places_that_differ_are_shown() -> None:
    mine = {"web": {"mtu": 1400, "subnets": {"s": {"cidr": "10.0.0.0/24"}}}, "db": {"mtu": 1300}}
    theirs = {"web": {"mtu": 1500, "subnets": {"s": {"cidr": "10.0.0.0/24"}}}}
    messages = problems(all={"cloud_networks": mine}, compute2={"cloud_networks": theirs})
    assert messages == [
        f"cloud_networks.web.mtu: 1400 on network1, compute1, 1500 on compute2: {RULE}",
        f"cloud_networks.db: a dictionary of 1 on network1, compute1, not set on compute2: {RULE}",
    ]


def test_many_places_are_counted() -> None:
    mine, theirs = ({f"f{number}": {"ram_mb": ram} for number in range(9)} for ram in (1, 2))
    messages = problems(all={"cloud_flavors": mine}, compute2={"cloud_flavors": theirs})
    assert len(messages) == 4
    assert messages[-1] == "cloud_flavors: differs in 6 more places"


class Encrypted:
    """As Ansible's EncryptedString: no str, but its text is the decrypted one."""

    def __repr__(self) -> str:
        return "hunter2"


@pytest.mark.parametrize(("key", "value"), [("user_data", "hunter2"), ("api_token", "hunter2"), ("x", Encrypted())])
def test_values_that_may_be_secret_are_not_shown(key: str, value: Any) -> None:
    theirs = {"cloud_images": {"nano": {key: "hunter3"}}}
    (message,) = problems(all={"cloud_images": {"nano": {key: value}}}, compute2=theirs)
    assert "hunter2" not in message
    assert f"cloud_images.nano.{key}: … on" in message


def test_a_template_with_a_variable_that_differs_is_refused() -> None:
    everywhere = {"cloud_name": "{{ base }}-{{ 'x' | upper }}", "base": "{{ site | default('a') }}"}
    assert problems(all=everywhere) == []
    assert problems(all=everywhere, network1={"site": "b"}) == [
        "cloud_name: uses site, which differs: 'b' on network1 (group network), not set on compute1, compute2 (group "
        "compute): the plan would depend on the node that is read first"
    ]


def test_a_variable_that_only_instances_have_is_refused_if_it_is_one_of_headworks() -> None:
    theirs = {"cloud_flavors__more": {"big": {}}, "cloud_init_packages": ["vim"], "cloud_allocations": {}}
    assert problems(vm1=theirs, vm2=theirs) == [
        "cloud_flavors__more: not set on network1, compute1, compute2, a dictionary of 1 on vm1, vm2 (group "
        "instances): is read from the nodes only; set it for group all"
    ]


def test_a_variable_with_another_value_on_instances_is_refused() -> None:
    assert problems(all={"cloud_name": "a"}, vm2={"cloud_name": "b"}) == [
        "cloud_name: 'a' on network1, compute1, compute2, 'b' on vm2: is read from the nodes only; set it for group all"
    ]
