"""Trains, measures and ships the models: corpora, recipes, networks, pruning, quantisation, evaluation, export.

It shares front end and runtime with the device through `models/`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # must be set before TensorFlow is imported: no start-up chatter
# By itself TensorFlow uses oneDNN on processors with AVX-512 alone; on others a training then takes a third less time.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
