"""Run by Label Studio's own Python, where nothing else of this project can be imported."""
