"""DHCP and DNS of a network: dnsmasq."""
