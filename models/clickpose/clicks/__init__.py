"""Simulated clicks: how an annotator clicks, figures of any network through the predictor interface, curves."""
