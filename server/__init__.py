"""The server: ingest (MQTT to store), the store (Redis data types), and REST with its plots.

Ingest and REST are two processes that meet only in the store: ingest writes what devices send and publishes
commands, REST reads and queues commands. The server knows devices through the wire contract (`broker`) alone.
"""
