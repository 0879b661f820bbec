"""Inventory variables as input of the plan: selection, additions, plain data, templates."""

from __future__ import annotations

import pytest
from headworks.control.variables import expand, has_template, merge_additions, plain, select
from headworks.model.errors import PlanError


class Tagged(str):
    """Like Ansible's tagged text: a subclass of str."""


def test_an_addition_replaces_entries_of_its_base_and_keeps_the_others() -> None:
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


def test_additions_are_merged_in_the_order_of_their_names() -> None:
    merged = merge_additions({"cloud_flavors__1": {"f": 1}, "cloud_flavors__2": {"f": 2}})
    assert merged == {"cloud_flavors": {"f": 2}}


def test_an_empty_addition_adds_nothing() -> None:
    assert merge_additions({"cloud_flavors": {"f": 1}, "cloud_flavors__x": None}) == {"cloud_flavors": {"f": 1}}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"cloud_networks__x": ["a"]}, r"cloud_networks__x: \['a'\]: must be a dictionary"),
        ({"cloud_name": "lab", "cloud_name__x": {"a": 1}}, "cloud_name is not a dictionary"),
    ],
)
def test_an_addition_that_cannot_be_merged_is_refused(variables: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        merge_additions(variables)


def test_tagged_values_become_plain_at_every_depth() -> None:
    value = plain({Tagged("k"): [Tagged("v"), 1, True, None, {"x": (Tagged("y"),)}]})
    assert value == {"k": ["v", 1, True, None, {"x": ["y"]}]}
    assert type(next(iter(value))) is str
    assert type(value["k"][0]) is str
    assert value["k"][2] is True


def test_the_selection_leaves_out_the_allocations() -> None:
    assert select({"cloud_allocations": {}, "cloud_name": "x", "node_a": 1}, "cloud_") == {"cloud_name": "x"}


@pytest.mark.parametrize("value", ["{{ a }}", {"x": ["{% if %}"]}, [{"y": "{# c #}"}]])
def test_templates_are_found_at_every_depth(value: object) -> None:
    assert has_template(value)


def test_only_values_with_templates_are_expanded() -> None:
    expanded = []

    def template(value: object) -> object:
        expanded.append(value)
        return "done"

    assert expand({"a": "{{ x }}", "b": {"c": 1}}, template) == {"a": "done", "b": {"c": 1}}
    assert expanded == ["{{ x }}"]


def test_the_message_about_a_failed_template_names_host_and_variable() -> None:
    def template(value: object) -> object:
        raise KeyError("'keys/ops.pub' was not\n  found")

    with pytest.raises(PlanError) as caught:
        expand({"instance_user_data": "{{ x }}", "instance_keypair": "{{ y }}"}, template, "instances.vm1.")
    assert [message.split(": ")[0] for message in caught.value.messages] == [
        "instances.vm1.instance_user_data",
        "instances.vm1.instance_keypair",
    ]
    assert "\n" not in caught.value.messages[0]
