"""Open vSwitch bridges and ports, as rows of OVSDB."""
