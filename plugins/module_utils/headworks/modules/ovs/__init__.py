"""The options of modules ovs_bridge, ovs_port and ovs_flows, turned into records and steps."""
