"""The device: microphone or clips in, emotion readings out; the audio itself never leaves this process.

source -> pipeline (windows, speech gate, log-mel, classifier, smoothing) -> outbox -> MQTT
"""
