"""The model contract: what training hands to the device.

Front end (`frontend`), bundle format (`bundle`) and runtime (`runtime`) are the same for training, tests and device.
`bundles/` has the shipped bundles. Of ours this package imports only `common`.
"""
