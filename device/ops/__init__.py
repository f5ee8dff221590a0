"""Commands for whoever runs a device: doctor, calibrate, bench, install."""
