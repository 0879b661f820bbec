"""The node state document: a document of an older version is upgraded, and other versions are refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from distributions import DEBIAN
from headworks.engine.order import ORDER, pipeline
from headworks.state import document
from headworks.state.codec import encode
from headworks.state.document import SECTIONS, VERSION, upgrade
from headworks.state.domains import Domain, DomainDisk

UUID = "6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001"
HOME = f"/var/lib/headworks/instances/{UUID}"
SIZE = {"vcpus": 1, "memory_mb": 64}


def version1(**sections: Any) -> dict[str, Any]:
    """Return a document of version 1."""
    return {"version": 1, "cloud": "lab", "node": "compute1", "sections": sections}


def test_a_domain_of_version_1_gets_a_list_of_disks_and_its_console_log() -> None:
    domain = {"name": UUID, "domain": "instance-1", "title": "vm1", **SIZE, "disk": f"{HOME}/disk", "state": "paused"}
    older = version1(domains=[domain])
    copied = copy.deepcopy(older)
    upgraded = upgrade(older)
    assert older == copied, "upgrade must not change its argument"
    assert upgraded == {
        "version": VERSION,
        "cloud": "lab",
        "node": "compute1",
        "distribution": encode(DEBIAN),
        "sections": {
            "domains": [
                {
                    "name": UUID,
                    "domain": "instance-1",
                    "title": "vm1",
                    **SIZE,
                    "disks": [{"path": f"{HOME}/disk", "target": "vda"}],
                    "state": "paused",
                    "console_log": f"{HOME}/console.log",
                }
            ]
        },
    }


def test_the_engine_reads_the_document_of_an_older_version() -> None:
    domain = {"name": UUID, "domain": "instance-1", "title": "vm1", **SIZE, "disk": f"{HOME}/disk", "cloud": "lab"}
    ((_, desired),) = pipeline(version1(domains=[domain]))
    disks = (DomainDisk(f"{HOME}/disk", "vda"),)
    log = f"{HOME}/console.log"
    assert desired == {UUID: Domain(UUID, "instance-1", "vm1", 1, 64, disks, cloud="lab", console_log=log)}


@pytest.mark.parametrize("sections", [{}, {"links": [{"name": "tap1", "kind": "tap"}]}, {"domains": []}])
def test_a_document_without_domains_keeps_its_sections_and_gets_the_names_of_debian(sections: dict[str, Any]) -> None:
    upgraded = upgrade(version1(**sections))
    assert upgraded == {**version1(**sections), "version": VERSION, "distribution": encode(DEBIAN)}


def test_a_document_of_the_present_version_is_not_changed() -> None:
    present = {**version1(domains=[{"name": UUID, "disks": []}]), "version": VERSION}
    assert upgrade(present) == present


def test_a_document_of_version_2_gets_the_units_that_it_does_not_name() -> None:
    units = ("ovsdb_service", "vswitchd_service", "libvirt_guests_service")
    names = {name: value for name, value in encode(DEBIAN).items() if name not in units}
    older = {**version1(), "version": 2, "distribution": names}
    copied = copy.deepcopy(older)
    assert upgrade(older) == {**older, "version": VERSION, "distribution": encode(DEBIAN)}
    assert older == copied, "upgrade must not change its argument"
    assert pipeline(older) == []


def test_a_document_of_version_2_with_a_damaged_distribution_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^state\.distribution: "):
        pipeline({**version1(), "version": 2, "distribution": ["x"]})


@pytest.mark.parametrize("version", [None, 0, VERSION + 1, "1", True])
def test_an_unknown_version_is_refused_with_the_known_versions(version: Any) -> None:
    with pytest.raises(ValueError, match=rf"state.version: {version!r}: must be one of 1, 2, 3, which this engine"):
        pipeline({**version1(), "version": version})


def test_a_damaged_domain_of_version_1_is_refused_with_its_section() -> None:
    with pytest.raises(ValueError, match=r"state\.sections\.domains: Domain: .*'disks'"):
        pipeline(version1(domains=[{"name": UUID, "domain": "instance-1", "title": "vm1", **SIZE}]))


@pytest.mark.parametrize(
    ("distribution", "error"),
    [
        (None, "missing 11 required positional arguments"),
        ({**encode(DEBIAN), "nginx_usr": "x"}, "unexpected keyword argument 'nginx_usr'"),
        ({**encode(DEBIAN), "nginx_user": "www-data;\nuser root"}, r"nginx_user: .* letters, digits and _ \. @ - only"),
        ({**encode(DEBIAN), "dnsmasq_user": ""}, "dnsmasq_user: ''"),
        ({**encode(DEBIAN), "libvirt_service": 7}, "libvirt_service: 7"),
    ],
)
def test_a_missing_or_bad_name_of_the_distribution_is_refused(distribution: Any, error: str) -> None:
    present = {**version1(), "version": VERSION}
    with pytest.raises(ValueError, match=rf"^state\.distribution: (Distribution: )?.*{error}"):
        pipeline(present if distribution is None else {**present, "distribution": distribution})


def test_each_older_version_has_upgrade_steps() -> None:
    assert sorted(document._STEPS) == list(range(1, VERSION))


def test_each_section_has_a_subsystem() -> None:
    assert tuple(name for name, _ in ORDER if name != "boot") == SECTIONS, "the engine adds section boot itself"
