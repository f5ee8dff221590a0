"""The machine that a device runs on: clock, identity, memory lock, resources, systemd."""
