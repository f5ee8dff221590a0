"""`moodwire chaos`: the whole system under faults, and each record reconciled with what became of it."""
