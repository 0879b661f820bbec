"""Which node an instance or a service is on."""
