"""OpenFlow entries of the bridges."""
