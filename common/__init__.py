"""What several rooms need: backoff, outages, files, audio files, addresses, MQTT and HTTP, a doctor's report.

Imports nothing of ours.
"""
