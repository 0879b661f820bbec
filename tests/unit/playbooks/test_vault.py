"""Values from an Ansible vault: the plan uses them, and no output shows them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_cloud_plan import CLOUD, Site

PASSWORD = "of the vault"
USER_DATA = "#cloud-config\npassword: correct-horse\nchpasswd: {expire: false}\n"
TOKEN = "battery-staple"
ALL = ("correct-horse", "expire: false", TOKEN)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "password").write_text(PASSWORD)
    return Site(tmp_path)


def encrypted(site: Site, name: str, text: str) -> str:
    """A line of YAML that sets a variable to an encrypted text."""
    command = [Path(sys.executable).with_name("ansible-vault"), "encrypt_string", "--stdin-name", name]
    done = subprocess.run(
        [*command, "--vault-password-file", site.home / "password"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def run(site: Site, *options: str, ok: bool = True) -> str:
    return site.run("--vault-password-file", str(site.home / "password"), "-vvvv", "--diff", *options, ok=ok)[0]


def assert_discreet(output: str) -> None:
    assert [secret for secret in ALL if secret in output] == []


KEEP = """
    - ansible.builtin.shell: cat {home}/tmp/*/headworks-plan/* > {home}/handed-over
      run_once: true
      delegate_to: localhost
"""


def test_encrypted_values_reach_the_nodes_and_no_output(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = encrypted(site, "instance_user_data", USER_DATA) + encrypted(site, "token", TOKEN)
    lines += 'instance_metadata: {token: "{{ token }}", motto: "I say {{ token }}!"}\n'
    (site.inventory / "group_vars" / "all" / "secrets.yml").write_text(lines)
    hosts = json.loads((site.inventory / "hosts.yml").read_text())
    del hosts["all"]["children"]["instances"]["vars"]["instance_user_data"]
    site.write("hosts.yml", hosts)
    with (site.home / "play.yml").open("a") as play:
        play.write(KEEP.format(home=site.home))
    monkeypatch.setenv("ANSIBLE_LOCAL_TEMP", str(site.home / "tmp"))
    output = run(site)
    assert "+ instance vm1" in output
    handed_over = (site.home / "handed-over").read_text()
    assert "password: correct-horse" in handed_over
    assert f"I say {TOKEN}!" in handed_over
    assert_discreet(output)
    assert_discreet(site.allocations.read_text())


def test_a_refusal_shows_no_encrypted_value(site: Site) -> None:
    lines = encrypted(site, "instance_keypair", TOKEN) + encrypted(site, "instance_availability_zone", TOKEN)
    lines += encrypted(site, "token", TOKEN) + 'instance_metadata: {token: "x\\n{{ token }}"}\n'
    lines += encrypted(site, "instance_config_drive", USER_DATA)
    (site.inventory / "group_vars" / "instances.yml").write_text(lines)
    output = run(site, ok=False)
    assert "instances.vm1.instance_config_drive: …: must be true or false" in output
    assert "instances.vm1.instance_metadata.token: '…': must be one line" in output
    assert_discreet(output)
    (site.inventory / "group_vars" / "instances.yml").write_text(lines.partition("token:")[0])
    output = run(site, ok=False)
    assert "instances.vm1.instance_keypair: '…': there is no keypair of this name" in output
    assert_discreet(output)


def test_the_plan_shows_no_encrypted_value(site: Site) -> None:
    flavors = {TOKEN: {"vcpus": 1, "ram_mb": 64}}
    site.write("group_vars/all/cloud.yml", {**CLOUD, "cloud_flavors": flavors})
    lines = encrypted(site, "small", TOKEN)
    (site.inventory / "group_vars" / "all" / "secrets.yml").write_text(lines)
    output = run(site)
    assert "+ instance vm1 (… on " in output


def test_a_value_that_cannot_be_decrypted_is_named(site: Site) -> None:
    (site.inventory / "group_vars" / "instances.yml").write_text(encrypted(site, "instance_keypair", TOKEN))
    output, _ = site.run(ok=False)
    assert "instances.vm1.instance_keypair: " in output
    assert "no vault secrets" in output


def test_the_address_of_an_image_must_not_be_encrypted(site: Site) -> None:
    images = {"tiny": {"url": "{{ address }}", "checksum": f"sha256:{'0' * 64}"}}
    site.write("group_vars/all/cloud.yml", {**CLOUD, "cloud_images": images})
    lines = encrypted(site, "address", f"https://example.org/{TOKEN}")
    (site.inventory / "group_vars" / "all" / "secrets.yml").write_text(lines)
    output = run(site, ok=False)
    assert "cloud_images.tiny.url: must not be encrypted" in output
    assert_discreet(output)
