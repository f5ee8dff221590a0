"""What a device learns of and asks from its machine: clock, identity, memory, systemd."""
