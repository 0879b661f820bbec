"""headworks: compiles a private cloud from an Ansible inventory and converges it node by node.

``model``, ``plan``, ``wiring``, ``control`` and ``view`` run on the control side; ``model``, ``plan`` and ``control``
use pydantic. ``engine``, ``node``, ``system``, ``modules`` and ``controller`` run on nodes, with only the standard
library and the distribution's ``python3-libvirt``. ``state`` holds the records that both sides share.
"""
