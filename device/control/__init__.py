"""Commands that a device carries out, and the settings and models that they change."""
