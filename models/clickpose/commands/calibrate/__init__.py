"""``clickpose calibrate``: fit or apply a calibration, measure it, write files and the report."""
