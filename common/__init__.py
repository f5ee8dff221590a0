"""What several rooms need and no room owns: backoff, outages, files, audio files, MQTT clients, a doctor's report.

Imports nothing of ours.
"""
