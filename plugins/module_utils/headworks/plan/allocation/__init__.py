"""Allocation of addresses, MACs, segmentation ids and VLANs, and the record of what is allocated."""
