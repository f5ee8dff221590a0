"""Sound from a microphone or from files, as 16 kHz samples."""
