"""Live events for any number of subscribers, served by an event loop of its own."""
