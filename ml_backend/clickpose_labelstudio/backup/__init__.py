"""Backup and restore of what a team cannot make again, in one file: :mod:`.archive` is the file, :mod:`.sources` what
goes into it and back, :mod:`.commands` how it is spelled.

What is in it: journal and jobs, the versions of the network with their calibration, the weights that the service was
started with where they are not the shipped ones, the settings without secrets, and Label Studio's data where asked for.
"""
