"""Whole-system trials: figures beside a named peer, and what survives when things are killed."""
