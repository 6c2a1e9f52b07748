"""Learning from the annotators: the journal of their work, versions of the network, what comes next, how it goes.

What a folder holds (``--train-dir``), shared by the worker processes of a machine: ``journal.sqlite``
(:mod:`.journal`), ``project-7/2/`` the second training job on project 7 (:mod:`..training_jobs`), and
``project-7/versions/`` what came out of them and which of it is served (:mod:`.versions`).
"""
