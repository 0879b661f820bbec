"""headworks: compiles a private cloud from an Ansible inventory and converges it node by node.

``model``, ``plan``, ``wiring``, ``control`` and ``view`` run on the control side; only ``model`` imports pydantic.
``engine``, ``node``, ``system``, ``modules`` and ``controller`` run on nodes, with only the standard library and the
distribution's ``python3-libvirt``; for module router, ``modules`` takes parts of ``plan`` and ``wiring`` along.
``state`` holds the records that both sides share.
"""
