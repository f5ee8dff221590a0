"""The model contract: what training hands to the device.

One front end (`frontend`), one bundle format (`bundle`) and one runtime (`runtime`), used by training, tests and device
alike; this package imports nothing of ours. The shipped bundles lie in `bundles/`.
"""
