"""Device: microphone or clips in, emotion readings out; the audio itself never leaves this process.

source -> pipeline (windows, speech gate, log-mel, classifier, smoothing) -> outbox -> MQTT
"""

import os

# NumPy's matrix library would keep a second thread spinning between windows, which costs more than the work itself
# (13 % of a core, measured at one window a second). It reads this when NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
