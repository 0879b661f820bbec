"""Section ``underlay`` refuses names and seconds that must not go on command lines."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.state.codec import decode, encode
from headworks.state.underlay import NicAttachment


def test_a_nic_without_rollback_seconds_has_60() -> None:
    assert decode(NicAttachment, {"name": "eth1", "bridge": "br-ex"}).rollback_seconds == 60


def test_rollback_seconds_travel_in_the_document() -> None:
    nic = NicAttachment("eth1", "br-ex", rollback_seconds=90)
    assert decode(NicAttachment, encode(nic)) == nic


@pytest.mark.parametrize("seconds", [9, 3601, -1, "60", "5; reboot", 60.5, None, True])
def test_rollback_seconds_that_are_no_whole_number_from_10_to_3600_are_refused(seconds: Any) -> None:
    with pytest.raises(ValueError, match=r"^NIC 'eth1' in bridge 'br-ex': rollback_seconds .*: must be a whole number"):
        decode(NicAttachment, {"name": "eth1", "bridge": "br-ex", "rollback_seconds": seconds})


@pytest.mark.parametrize("name", ["", "eth1 eth2", "a/b", "sixteen-letters-"])
def test_a_name_that_is_no_link_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a link name"):
        NicAttachment(name, "br-ex")
