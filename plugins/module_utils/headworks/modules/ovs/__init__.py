"""Options of ovs_bridge, ovs_port and ovs_flows, as records and steps."""
