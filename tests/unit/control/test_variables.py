"""Inventory variables on their way to the plan."""

from __future__ import annotations

import pytest
from headworks.control.variables import expand, has_template, merge_additions, plain, select
from headworks.model.errors import PlanError


class Tagged(str):
    """Like Ansible's tagged text: a subclass of str."""


def test_an_addition_is_merged_entry_by_entry_and_leaves_the_rest() -> None:
    merged = merge_additions(
        {
            "cloud_networks": {"a": {"type": "vxlan"}, "b": {"type": "flat"}},
            "cloud_networks__mine": {"b": {"type": "vlan"}, "c": {}},
            "cloud_name": "lab",
        }
    )
    assert merged == {
        "cloud_networks": {"a": {"type": "vxlan"}, "b": {"type": "vlan"}, "c": {}},
        "cloud_name": "lab",
    }


def test_of_two_additions_the_later_by_name_wins() -> None:
    merged = merge_additions({"cloud_flavors__1": {"f": 1}, "cloud_flavors__2": {"f": 2}})
    assert merged == {"cloud_flavors": {"f": 2}}


def test_an_empty_addition_adds_nothing() -> None:
    assert merge_additions({"cloud_flavors": {"f": 1}, "cloud_flavors__x": None}) == {"cloud_flavors": {"f": 1}}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"cloud_networks__x": ["a"]}, r"cloud_networks__x: \['a'\]: must be a dictionary"),
        ({"cloud_name": "lab", "cloud_name__x": {"a": 1}}, "cloud_name is no dictionary"),
    ],
)
def test_what_cannot_be_merged_is_refused_by_name(variables: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        merge_additions(variables)


def test_tagged_values_become_plain_all_the_way_down() -> None:
    value = plain({Tagged("k"): [Tagged("v"), 1, True, None, {"x": (Tagged("y"),)}]})
    assert value == {"k": ["v", 1, True, None, {"x": ["y"]}]}
    assert type(next(iter(value))) is str
    assert type(value["k"][0]) is str
    assert value["k"][2] is True


def test_allocations_are_left_out_since_they_are_read_from_their_file() -> None:
    assert select({"cloud_allocations": {}, "cloud_name": "x", "node_a": 1}, "cloud_") == {"cloud_name": "x"}


@pytest.mark.parametrize("value", ["{{ a }}", {"x": ["{% if %}"]}, [{"y": "{# c #}"}]])
def test_templates_are_found_wherever_they_are(value: object) -> None:
    assert has_template(value)


def test_only_what_holds_a_template_is_expanded() -> None:
    expanded = []

    def template(value: object) -> object:
        expanded.append(value)
        return "done"

    assert expand({"a": "{{ x }}", "b": {"c": 1}}, template) == {"a": "done", "b": {"c": 1}}
    assert expanded == ["{{ x }}"]


def test_a_template_that_fails_is_named_with_its_host() -> None:
    def template(value: object) -> object:
        raise KeyError("'keys/ops.pub' was not\n  found")

    with pytest.raises(PlanError) as caught:
        expand({"instance_user_data": "{{ x }}", "instance_keypair": "{{ y }}"}, template, "instances.vm1.")
    assert [one.split(": ")[0] for one in caught.value.messages] == [
        "instances.vm1.instance_user_data",
        "instances.vm1.instance_keypair",
    ]
    assert "\n" not in caught.value.messages[0]
