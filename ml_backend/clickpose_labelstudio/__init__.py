"""Label Studio integration of Click-Pose: codec, labelling config, service, app, launcher and bridge."""
