"""The FiftyOne plugin: operators and panels that parse, call and format."""
