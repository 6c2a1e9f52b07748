"""Predictions of more photos than one process should do in one go: listed once, in parts, each done exactly once."""
