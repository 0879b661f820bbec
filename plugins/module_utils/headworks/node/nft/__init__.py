"""nftables tables of a namespace."""
