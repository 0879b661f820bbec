"""The subsystem for OpenFlow entries of bridges."""
