"""The one error of the launcher."""


class LaunchError(RuntimeError):
    """Starting cannot go on; the message is a plain sentence that says what to do."""
