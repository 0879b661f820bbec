"""What surrounds the plan on the control side: variables in, image files looked at, allocations kept, states handed over.

The plan itself is pure and lives in ``plan/``; Ansible's own interfaces are in ``plugins/action``.
"""
