"""First poses of other networks: one adapter file for each kind, and the predictor that corrects what they see."""
