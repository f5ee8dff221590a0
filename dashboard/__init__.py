"""The live page: devices, and one device's lines, histogram and means. It talks to the REST API and nothing else."""
