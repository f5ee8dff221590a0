"""What several rooms need and no room owns: backoff, outages, files, MQTT clients, reports of a doctor.

Imports nothing of ours.
"""
