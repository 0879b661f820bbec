#!/usr/bin/python
"""Ansible module: run commands in guests. The work is done in headworks_lab/guests.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_command
short_description: Run commands in guests, from a node on their network
version_added: "0.1.0"
description:
  - Logs in to guests by ssh from a network namespace of the node and runs commands there. A guest can be reached from
    the namespace of its router or of its network's DHCP even if it cannot be reached from outside.
  - Different guests run their commands at the same time. The commands of one guest run one after the other.
  - Runs all commands, then fails if a command failed or its output did not match O(commands[].expect).
  - The private key is held in memory on the node, never in a file.
options:
  guests:
    description:
      - How to log in to each guest, by the guest's name.
      - Each value is a dictionary of C(address), C(netns) (the node's network namespace; if omitted, the root
        namespace) and C(user) (if omitted, C(root)). Other keys are ignored.
    type: dict
    required: true
  commands:
    description: The commands.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the command checks. It is returned in the answer.
        type: str
        required: true
      guest:
        description: Name of the guest.
        type: str
        required: true
      command:
        description: The command, for the guest's shell.
        type: str
        required: true
      expect:
        description: A regular expression (multiline) that must match somewhere in the output.
        type: str
        default: ""
  key:
    description: The private key that the guests accept.
    type: str
    required: true
  wait:
    description: How many seconds a guest may take until it answers on ssh, for guests that are booting.
    type: int
    default: 0
  timeout:
    description: How many seconds a command may take.
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
  description: One answer for each command, in the order of the commands.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Name of the command., type: str}
    guest: {description: Name of the guest., type: str}
    ok: {description: Whether the command succeeded and its output matched., type: bool}
    rc: {description: The exit code; 255 if there was no connection., type: int}
    shown: {description: The line of the output that matched., type: str}
    stdout: {description: The standard output., type: str}
    stderr: {description: The standard error output., type: str}
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
    """Run the module."""
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
    unknown = sorted({command["guest"] for command in module.params["commands"]} - set(guests))
    if unknown:
        module.fail_json(msg=f"commands: no such guest: {', '.join(unknown)}")
    try:
        logins = {name: Login(**{key: guest[key] for key in LOGIN if key in guest}) for name, guest in guests.items()}
        commands = [GuestCommand(**{**given, "guest": logins[given["guest"]]}) for given in module.params["commands"]]
        answers = run_in_guests(
            commands, module.params["key"], wait_s=module.params["wait"], timeout_s=module.params["timeout"]
        )
    except (GuestError, TypeError) as error:
        module.fail_json(msg=str(error))
    asked = zip(module.params["commands"], answers, strict=True)
    plain = [{"guest": command["guest"], **answer.plain()} for command, answer in asked]
    failed = [answer.name for answer in answers if not answer.ok]
    if failed:
        module.fail_json(msg=f"{len(failed)} of {len(answers)} commands failed: {'; '.join(failed)}", answers=plain)
    module.exit_json(changed=False, answers=plain)


if __name__ == "__main__":
    main()
