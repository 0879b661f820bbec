"""nftables tables in namespaces."""
