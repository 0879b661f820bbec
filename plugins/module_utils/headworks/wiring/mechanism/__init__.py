"""The layer 2 mechanisms, one folder each: how ports of a network reach each other."""
