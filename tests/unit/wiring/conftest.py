"""Fixtures of the wiring's tests: node states of the sample clouds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from clouds import provider_cloud, s1_cloud
from states import Sections, sections


@pytest.fixture
def s1() -> Callable[[str], Sections]:
    """S1's node → its sections."""
    return lambda node: sections(s1_cloud(), node)


@pytest.fixture
def provider() -> Sections:
    """The sections of the all-in-one node with provider networks."""
    return sections(provider_cloud(), "all1")
