"""Addresses, MACs, segmentation ids and VLANs: what they are, and how they are given."""
