"""Rules about devices, and the webhooks and topics that are told when one applies."""
