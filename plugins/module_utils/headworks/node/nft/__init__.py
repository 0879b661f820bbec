"""The subsystem for nftables tables in namespaces."""
