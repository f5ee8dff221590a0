"""Inference: from blocks of sound to the scores of windows."""
