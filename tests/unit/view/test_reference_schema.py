"""The JSON Schema against inventories: it accepts the values that the models accept, and refuses those they refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from everything import everything
from headworks.control.variables import merge_additions, plain
from headworks.model.base import Model
from headworks.model.errors import PlanError
from headworks.model.inventory import parse
from headworks.view.reference.schema import model_schema
from inventories import KEY, SHA
from jsonschema import Draft202012Validator
from pydantic import AliasChoices, Field

TOP = Path(__file__).parents[3]
SCHEMA = json.loads((TOP / "docs/inventory.schema.json").read_text())
INVENTORIES = sorted(
    path
    for top in ("inventory", "molecule/shared/inventory", "tests/cloud/inventories", "group_vars")
    for path in (TOP / top).rglob("*.yml")
    if path.parent.name != "refused"
)
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
CIDR = {"cidr": "10.0.0.0/24"}
NET = {"subnets": {"s": CIDR}}
NODE = {"groups": ["compute"]}
INSTANCE = {"instance_flavor": "f", "instance_image": "i"}


def findings(content: Any) -> list[str]:
    """The errors that the schema reports for the content of a file."""
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(plain(content))]


def accepted_by_models(variables: dict[str, Any]) -> bool:
    """Whether the models accept the variables together with those that are required."""
    cloud = {name: value for name, value in variables.items() if name.startswith("cloud_")}
    hosts = {name: value for name, value in variables.items() if name not in cloud}
    node = {name: value for name, value in hosts.items() if name.startswith("node_")}
    instance = {**INSTANCE, **{name: value for name, value in hosts.items() if name not in node}}
    try:
        parse(
            {
                "cloud": merge_additions(cloud),
                "nodes": {"n": {**NODE, "vars": node}},
                "instances": {"v": {"vars": instance}},
            }
        )
    except PlanError:
        return False
    return True


def test_the_schema_is_a_valid_json_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", INVENTORIES, ids=lambda path: str(path.relative_to(TOP)))
def test_every_inventory_is_accepted(path: Path) -> None:
    assert findings(yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_inventory_in_the_documentation_is_accepted(page: Path) -> None:
    blocks = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.M | re.S)]
    assert [findings(block) for block in blocks if isinstance(block, dict) and findings(block)] == []


@pytest.mark.parametrize("kind", ["cloud", "node", "instance"])
def test_the_commented_out_reference_is_accepted(kind: str) -> None:
    lines = (TOP / f"group_vars/all/{kind}.yml").read_text().splitlines()
    text = "\n".join(line.removeprefix("# ") for line in lines if line.startswith("# "))
    assert findings(yaml.safe_load(text)) == []


def test_an_inventory_with_every_variable_is_accepted() -> None:
    full = everything()
    assert findings({**full["cloud"], **full["nodes"]["compute1"]["vars"], **full["instances"]["vm1"]["vars"]}) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"cloud_networks": None},
        {"cloud_networks__mine": {"n": NET}},
        {"cloud_networks__mine": None},
        {"cloud_networks": {"n": {**NET, "segmentation_id": "7", "external": "yes", "shared": "OFF"}}},
        {"cloud_networks": {"n": {"subnets": {"s": {"cidr": "2001:db8::/64", "gateway_ip": ""}}}}},
        {"cloud_networks": {"n": {"subnets": {"s": {"cidr": "10.0.0.0/255.255.255.0", "gateway_ip": None}}}}},
        {"cloud_vlan_ranges": {"p": [7, "8:9", "10-11", [12, 13]]}},
        {"cloud_vlan_ranges": {"p": "2000:4094"}},
        {"cloud_tunnel_id_range": [5, 6]},
        {"cloud_networks": {"n": {"cidr": "10.0.0.0/24", "provider:network_type": "gre"}}},
        {"cloud_flavors": {"f": {"vcpus": 1, "ram": 64, "disk": 1}}},
        {"cloud_security_groups": {"g": {"rules": {"protocol": "tcp", "port_range_min": 1, "port_range_max": 2,
                                                   "remote_ip_prefix": "10.0.0.0/8"}}}},
        {"cloud_routers": {"r": {"interfaces": "n"}}},
        {"instance_networks": {"network": "n", "security_groups": "web"}},
        {"instance_security_groups": "web", "instance_volumes": "data"},
        {"cloud_routers": {"r": {"interfaces": ["n", {"network": "m"}]}}},
        {"cloud_security_groups": {"g": {"rules": [{"protocol": "TCP", "ports": 80}, {"protocol": "any"},
                                                   {"protocol": 6}, {"protocol": "47"}, {"protocol": None}]}}},
        {"cloud_images": {"i": {"url": "https://example.org/i", "checksum": SHA.upper()}}},
        {"cloud_keypairs": {"k": f" {KEY}"}},
        {"cloud_projects": {"p": {"quota": None}}},
        {"node_tunnel_ip": ""},
        {"node_cpu_allocation_ratio": "1.5"},
        {"node_enabled": "no"},
        {"instance_networks": "n"},
        {"instance_networks": None},
        {"instance_networks": ["n", {"network": "m", "mac": "FA-16-3E-00-00-01", "allowed_address_pairs":
                               ["10.0.0.9", "2001:db8::/64", {"ip_address": "10.0.0.0/8"}]}]},
        {"instance_metadata": {"a b": 1, "c": True, "d": "e"}},
    ],
    ids=str,
)  # fmt: skip
def test_every_notation_that_the_models_accept_is_accepted(variables: dict[str, Any]) -> None:
    assert accepted_by_models(variables)
    assert findings(variables) == []


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"cloud_netwroks": {}}, "$"),
        ({"cloud_flavors": {"f": {"vcpus": 1}}}, "$.cloud_flavors"),
        ({"cloud_flavors": {"f": {"vcpus": 0, "ram_mb": 1}}}, "$.cloud_flavors"),
        ({"cloud_flavors": {"f": {"vcpus": 4097, "ram_mb": 1}}}, "$.cloud_flavors"),
        ({"cloud_flavors": {"a/b": {"vcpus": 1, "ram_mb": 1}}}, "$.cloud_flavors"),
        ({"cloud_flavors": {"f": {"vcpus": 1, "ram_mb": 1, "ram": 1}}}, "$.cloud_flavors"),
        ({"cloud_networks": ["n"]}, "$.cloud_networks"),
        ({"cloud_networks__mine": {"n": {"type": "vlxan"}}}, "$.cloud_networks__mine"),
        ({"cloud_networks": {"n": {"mtu": 67}}}, "$.cloud_networks"),
        ({"cloud_networks": {"n": {"external": "perhaps"}}}, "$.cloud_networks"),
        ({"cloud_networks": {"n": {"subnets": {"s": {"cidr": "10.0.0.0"}}}}}, "$.cloud_networks"),
        ({"cloud_networks": {"n": {"subnets": {"s": {**CIDR, "gateway_ip": "first"}}}}}, "$.cloud_networks"),
        ({"cloud_vlan_ranges": {"p": "2000-"}}, "$.cloud_vlan_ranges"),
        ({"cloud_vlan_ranges": {"p": [4095]}}, "$.cloud_vlan_ranges"),
        ({"cloud_security_groups": {"g": {"rules": [{"protocol": "tpc"}]}}}, "$.cloud_security_groups"),
        ({"cloud_qos_policies": {"q": {"dscp": 27}}}, "$.cloud_qos_policies"),
        ({"cloud_images": {"i": {"path": "/i", "checksum": "sha256:12"}}}, "$.cloud_images"),
        ({"cloud_images": {"i": {"url": "ftp://h/i", "checksum": SHA}}}, "$.cloud_images"),
        ({"cloud_keypairs": {"k": "hello"}}, "$.cloud_keypairs"),
        ({"cloud_affinity_groups": {"g": {"policy": "near"}}}, "$.cloud_affinity_groups"),
        ({"cloud_floating_ips": {"not-an-address": {"network": "e"}}}, "$.cloud_floating_ips"),
        ({"cloud_dhcp_agents_per_network": 0}, "$.cloud_dhcp_agents_per_network"),
        ({"node_bridge_mappings": {"p": {"bridge": "br-int"}}}, "$.node_bridge_mappings"),
        ({"node_bridge_mappings": {"p": {"bridge": "a-name-that-is-too-long"}}}, "$.node_bridge_mappings"),
        ({"node_tunnel_ip": "2001:db8::1"}, "$.node_tunnel_ip"),
        ({"node_ram_allocation_ratio": 0}, "$.node_ram_allocation_ratio"),
        ({"instance_state": "on"}, "$.instance_state"),
        ({"instance_networks": [{"address": "10.0.0.3"}]}, "$.instance_networks"),
        ({"instance_networks": [{"network": "n", "mac": "01:00:00:00:00:01"}]}, "$.instance_networks"),
        ({"instance_metadata": {f"k{number}": "v" for number in range(129)}}, "$.instance_metadata"),
    ],
    ids=lambda value: str(value)[:80],
)  # fmt: skip
def test_a_single_value_that_the_models_refuse_is_refused(variables: dict[str, Any], path: str) -> None:
    assert not accepted_by_models(variables)
    assert [finding for finding in findings(variables) if finding.startswith(f"{path}: ")] != []


def test_an_addition_to_anything_but_a_dictionary_of_the_cloud_is_refused() -> None:
    assert findings({"cloud_name__mine": {}}) != []
    assert findings({"instance_metadata__mine": {}}) != []


@pytest.mark.parametrize(
    "variables",
    [
        {"cloud_networks": "{{ networks }}"},
        {"cloud_networks": {"n": "{{ network }}"}},
        {"cloud_networks": {"n": {"type": "{{ kind }}", "mtu": "{{ mtu }}", "external": "{{ is_external | bool }}"}}},
        {"cloud_networks": {"n": {"subnets": {"s": {"cidr": "10.{{ number }}.0.0/24"}}}}},
        {"cloud_keypairs": {"k": "{{ lookup('file', 'k.pub') }}"}},
        {"instance_networks": ["{{ network }}", {"network": "n", "address": "{% if a %}10.0.0.3{% endif %}"}]},
        {"instance_networks": "{{ networks }}"},
    ],
    ids=str,
)
def test_a_template_may_stand_for_any_value(variables: dict[str, Any]) -> None:
    assert findings(variables) == []


@pytest.mark.parametrize(
    ("content", "valid"),
    [
        (None, True),
        ({"all": None}, True),
        ({"all": {"vars": {"cloud_name": "lab"}, "children": {"web": {"hosts": {"vm1": INSTANCE}}}}}, True),
        ({"instances": {"hosts": {"vm1": None}}, "lab_name": "x", "own": {"hosts": 1, "other": 2}}, True),
        ({"cloud_networks": {"hosts": NET, "vars": NET}}, True),  # names of networks, not keys of a group
        ({"all": {"vars": {"cloud_nmae": "lab"}}}, False),
        ({"all": {"children": {"web": {"hosts": {"vm1": {"instance_state": "on"}}}}}}, False),
        ({"all": {"hots": {}}}, False),
        ({"instances": {"vars": {"instance_image": 1}}}, False),
        ([], False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_variables_in_a_yaml_inventory_are_checked(content: Any, valid: bool) -> None:
    assert (findings(content) == []) is valid


class Renamed(Model):
    """A model whose fields also have OpenStack's names."""

    ram_mb: int = Field(description="Memory.", validation_alias=AliasChoices("ram_mb", "ram"))
    disk_gb: int = Field(default=0, description="Disk.", validation_alias=AliasChoices("disk_gb", "disk"))


@pytest.mark.parametrize(
    ("value", "valid"),
    [({"ram": 1, "disk": 2}, True), ({"ram_mb": 1}, True), ({"disk": 1}, False), ({"ram": "much"}, False)],
    ids=str,
)
def test_a_field_is_accepted_under_its_other_names(value: dict[str, Any], valid: bool) -> None:
    assert Draft202012Validator({**model_schema(Renamed), "$defs": SCHEMA["$defs"]}).is_valid(value) is valid
