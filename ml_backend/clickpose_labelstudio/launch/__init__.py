"""Start the annotation loop on this machine: backend, Label Studio with the bridge, project, photos, predictions.

:func:`clickpose_labelstudio.launch.start.start` is what ``clickpose labelstudio start`` and ``make run`` call;
:func:`~clickpose_labelstudio.launch.start.running` is the same as a context manager, for tests. The files: ``command``
(the command line), ``start`` (the order of things), ``folder`` (what is kept in the data folder), ``processes``
(children and ports), ``upkeep`` (starts again what has died), ``photos`` and ``project`` (what Label Studio shows),
``preannotation`` (in the background), ``terminal`` (what is printed), ``bridge_script`` (the script for the page),
``inside`` (run by Label Studio's own Python, not by ours).
"""
