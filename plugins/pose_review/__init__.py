"""The FiftyOne plugin: operators and panels that parse, call :mod:`clickpose_fiftyone` and format.

FiftyOne imports it under a name of its own and again on every call, so nothing here keeps state.
"""

from .operators import OPERATORS
from .panels import PANELS


def register(plugin):
    """Register everything with FiftyOne; what fiftyone.yml does not list is left out silently."""
    for component in (*OPERATORS, *PANELS):
        plugin.register(component)
