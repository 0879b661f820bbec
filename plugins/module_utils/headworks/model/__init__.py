"""What an operator may say: pydantic models of the cloud, its nodes and its instances. Control side only.

``inventory.parse`` is the way in. What does not belong here: whether the names referred to exist, or whether it all
fits together (``plan/check/``).
"""
