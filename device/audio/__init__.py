"""Sound from a microphone or from files, as blocks of 16 kHz mono samples."""
