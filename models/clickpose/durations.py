"""How long something takes, as one would say it."""

from __future__ import annotations


def spoken(seconds: float) -> str:
    """Say a length of time: ``about 40 s``, ``about 5 min``, ``about 1.5 h``, ``about 3 days``.

    Example:
        >>> spoken(38), spoken(310), spoken(5000), spoken(300_000)
        ('about 40 s', 'about 5 min', 'about 1.5 h', 'about 3.5 days')
    """
    if seconds < 55:
        return f"about {max(5 * round(seconds / 5), 5)} s"
    if seconds < 3300:
        return f"about {round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"about {round(seconds / 1800) / 2:g} h"
    return f"about {round(seconds / 43_200) / 2:g} days"
