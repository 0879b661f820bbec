"""Open vSwitch bridges and ports: rows of its database."""
