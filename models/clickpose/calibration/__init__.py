"""Confidences that mean something: closed forms, fitted calibrators and CCNet, after "On the Calibration of Human Pose
Estimation" (ICML 2024)."""
