"""Start Label Studio with middleware of ours: ``python run_label_studio.py start --port 8080 …``.

It is added to the loaded settings. A settings module that imports all of Label Studio's does not work:
its error reporting reads the settings while they load.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTERMOST = "ServingMiddleware"  # of bridge_middleware
INNERMOST = (("bridge_middleware", "TagMiddleware"), ("predict_first", "PredictFirstMiddleware"))


def main() -> int | None:
    """Put the bridge into Label Studio's settings and hand over to its command line."""
    sys.path = [entry for entry in sys.path if entry != str(HERE)]
    package = importlib.util.find_spec("label_studio")
    if package is None or package.submodule_search_locations is None:
        print("Label Studio is not installed here. Run `make setup`, which installs the tested version.")
        return 1
    sys.path.insert(0, package.submodule_search_locations[0])
    os.environ["DJANGO_SETTINGS_MODULE"] = "label_studio.core.settings.label_studio"

    from django.conf import settings

    for name, class_name in INNERMOST:
        settings.MIDDLEWARE.append(f"{_load(name)}.{class_name}")
    settings.MIDDLEWARE.insert(0, f"clickpose_bridge_middleware.{OUTERMOST}")
    own_cookies = os.environ.get("CLICKPOSE_COOKIES")
    if own_cookies:  # browsers keep one jar a host, whatever the port: two projects would log each other out
        settings.SESSION_COOKIE_NAME = f"{own_cookies}_sessionid"
        settings.CSRF_COOKIE_NAME = f"{own_cookies}_csrftoken"

    from label_studio.server import main as label_studio_main

    return label_studio_main()


def _load(name: str) -> str:
    """Load a file beside this one under a name of its own, and return that."""
    spec = importlib.util.spec_from_file_location(f"clickpose_{name}", HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None, "a file beside this one"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return spec.name


if __name__ == "__main__":
    sys.exit(main())
