"""Training of any network: steps, schedule, checkpoints, resume, several processes."""
