"""From the broker to the store: messages are read, written, and confirmed once they are on disk."""
