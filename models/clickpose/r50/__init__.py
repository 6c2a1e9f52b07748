"""The end-to-end network (r50): checkpoints, predictor, ONNX graphs, losses, training."""
