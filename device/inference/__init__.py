"""From sound to scores: windows, speech gate, noise floor, model."""
