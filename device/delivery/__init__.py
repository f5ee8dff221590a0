"""From scores to the server: records, the outbox, and the MQTT session."""
