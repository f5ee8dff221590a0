"""Answers about a device over a range of time, from what the store keeps."""
