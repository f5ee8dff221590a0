"""Puts the rooms together on one machine: `moodwire demo` runs them all, `moodwire setup` makes what they share."""
