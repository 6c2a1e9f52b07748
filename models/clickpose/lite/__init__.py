"""The lite network: predictor, weights files, training, calibration, adaptation to other joints, fast evaluation."""
