"""Start the annotation loop on this machine: backend, Label Studio with the bridge, project, photos, predictions.

:func:`start` is what ``clickpose labelstudio start`` and ``make run`` call; :func:`running` is the same as a context
manager, for tests. The files: ``folder`` (what is kept in the data folder), ``processes`` (children and ports),
``photos``, ``api`` and ``project`` (talk to Label Studio), ``bridge_script`` (the script for the page), ``inside`` (run
by Label Studio's own Python, not by ours).
"""

from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.start import LaunchOptions, RunningLoop, running, start

__all__ = ["LaunchError", "LaunchOptions", "RunningLoop", "running", "start"]
