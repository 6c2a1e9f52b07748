"""Results that are kept while nothing changes in the dataset: a panel is drawn anew after every event."""

from __future__ import annotations

import functools
import json
from collections import OrderedDict
from collections.abc import Callable

from clickpose_fiftyone.fiftyone_internals import last_change, stages_of
from clickpose_fiftyone.process_memory import note_work

_KEPT = 8  # results of each function


def kept_while_unchanged(function: Callable) -> Callable:
    """Keep the last results of a function of a dataset or view and hashable arguments, until the dataset changes."""
    results: OrderedDict[tuple, object] = OrderedDict()

    @functools.wraps(function)
    def kept(samples, *args):
        key = (last_change(samples), json.dumps(stages_of(samples), default=str), args)
        if key not in results:
            for old in [known for known in results if _is_past(known[0], key[0])]:
                del results[old]
            results[key] = function(samples, *args)
            note_work()
            while len(results) > _KEPT:
                results.popitem(last=False)
        results.move_to_end(key)
        return results[key]

    return kept


def _is_past(known: tuple, now: tuple) -> bool:
    """Tell whether a result is of an earlier state of the dataset that another one is of: nobody will ask for it."""
    return known[0] == now[0] and known != now
