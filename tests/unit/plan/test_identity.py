"""Ids derived from names, MACs derived from ids, and the natural order of names."""

from __future__ import annotations

from uuid import UUID, uuid5

import pytest
from headworks.plan.identity import derived_mac, natural, object_id


def test_a_derived_mac_is_always_the_same_unless_it_is_taken() -> None:
    port = object_id("lab", "port", "instance/vm1/internal")
    mac = derived_mac(port, {})
    assert mac == derived_mac(port, {})
    taken = {mac}
    for _ in range(50):  # more than the ten MACs that a digest gives
        other = derived_mac(port, taken)
        assert other not in taken
        assert other.startswith("fa:16:3e:")
        taken.add(other)


def test_an_id_is_the_uuid5_of_its_name() -> None:
    namespace = UUID("68656164-776f-726b-7300-000000000000")
    for name in ("vm1", "größer", "a/b"):
        assert object_id("lab", "instance", name) == str(uuid5(namespace, f"lab/instance/{name}"))


def test_objects_of_different_kinds_or_clouds_have_different_ids() -> None:
    ids = [object_id(cloud, kind, "a") for cloud in ("lab", "home") for kind in ("network", "router", "port")]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "names",
    [
        ["web2", "web10", "web100"],
        ["a", "a1", "a1b", "a2", "b"],
        ["1", "02", "10", "x"],
    ],
)
def test_natural_order_sorts_numbers_by_value(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(backwards, key=natural) == names
