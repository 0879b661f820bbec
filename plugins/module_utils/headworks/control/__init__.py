"""What surrounds the plan: variables in, image files looked at, allocations kept, node states handed over.

The plan itself is pure and lives in ``plan/``; Ansible's own interfaces are in ``plugins/action``.
"""
