#!/usr/bin/python
"""Ansible module: run commands in guests, from a node that is on their network."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_command
short_description: Run commands in guests, from a node that is on their network
description:
  - Logs in to guests by ssh from a network namespace of the node (a router's, or that of a network's DHCP), which every
    guest answers to even when nothing outside can reach it, and runs commands there.
  - The guests are asked at the same time, the commands of one guest one after the other.
  - Fails when a command fails or does not say what was expected of it; all of them are run in any case.
  - The private key is held in memory on the node, never in a file.
options:
  guests:
    description:
      - How to log in to each guest, by its name.
      - A dictionary of C(address), C(netns) (default empty, the node's own network) and C(user) (default C(root));
        other keys are left alone.
    type: dict
    required: true
  commands:
    description: The commands.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the command shows; it comes back in the answer.
        type: str
        required: true
      guest:
        description: Name of the guest.
        type: str
        required: true
      command:
        description: For the guest's shell.
        type: str
        required: true
      expect:
        description: Regular expression (multiline) that the output has to match somewhere.
        type: str
        default: ''
  key:
    description: The private key that the guests let in.
    type: str
    required: true
  wait:
    description: Seconds that a guest may take until it answers on ssh, for guests that are booting.
    type: int
    default: 0
  timeout:
    description: Seconds that a command may take.
    type: int
    default: 60
attributes:
  check_mode: {support: none}
author: headworks
"""

EXAMPLES = r"""
- name: Ask a guest for its name
  guest_command:
    key: "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519') }}"
    guests:
      vm1: {address: 10.18.0.3, netns: qrouter-2f9f7b0c-2a53-5d0e-9c55-6f0a5c2f3c11}
    commands:
      - {guest: vm1, name: vm1 knows its name, command: hostname, expect: ^vm1$}
"""

RETURN = r"""
answers:
  description:
    - One for each command, with C(name), C(guest), C(ok), C(rc) (255 when there was no connection), C(shown) (the line
      that was expected), C(stdout) and C(stderr).
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks_lab.guests import GuestCommand, GuestError, Login, run_in_guests

LOGIN = ("address", "netns", "user")
COMMAND = {
    "name": {"type": "str", "required": True},
    "guest": {"type": "str", "required": True},
    "command": {"type": "str", "required": True},
    "expect": {"type": "str", "default": ""},
}


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "guests": {"type": "dict", "required": True},
            "commands": {"type": "list", "elements": "dict", "required": True, "options": COMMAND},
            "key": {"type": "str", "required": True, "no_log": True},
            "wait": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 60},
        }
    )
    guests = module.params["guests"]
    unknown = sorted({one["guest"] for one in module.params["commands"]} - set(guests))
    if unknown:
        module.fail_json(msg=f"commands: no such guest: {', '.join(unknown)}")
    try:
        logins = {name: Login(**{key: one[key] for key in LOGIN if key in one}) for name, one in guests.items()}
        commands = [GuestCommand(**{**one, "guest": logins[one["guest"]]}) for one in module.params["commands"]]
        answers = run_in_guests(
            commands, module.params["key"], wait_s=module.params["wait"], timeout_s=module.params["timeout"]
        )
    except (GuestError, TypeError) as error:
        module.fail_json(msg=str(error))
    asked = zip(module.params["commands"], answers, strict=True)
    plain = [{"guest": command["guest"], **answer.plain()} for command, answer in asked]
    failed = [one.name for one in answers if not one.ok]
    if failed:
        module.fail_json(msg=f"{len(failed)} of {len(answers)} not as expected: {'; '.join(failed)}", answers=plain)
    module.exit_json(changed=False, answers=plain)


if __name__ == "__main__":
    main()
