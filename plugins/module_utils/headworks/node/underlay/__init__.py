"""Physical NICs that are ports of bridges."""
