"""Start Label Studio with one more middleware: ``python run_label_studio.py start --port 8080 …``.

The middleware is appended to the loaded settings. A settings module that imports all of Label Studio's does not work:
its error reporting reads the settings while they load.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int | None:
    """Put the bridge into Label Studio's settings and hand over to its command line."""
    sys.path = [entry for entry in sys.path if entry != str(HERE)]
    package = importlib.util.find_spec("label_studio")
    if package is None or package.submodule_search_locations is None:
        print("Label Studio is not installed here. Run `make setup`, which installs the tested version.")
        return 1
    sys.path.insert(0, package.submodule_search_locations[0])
    os.environ["DJANGO_SETTINGS_MODULE"] = "label_studio.core.settings.label_studio"

    spec = importlib.util.spec_from_file_location("clickpose_bridge_middleware", HERE / "bridge_middleware.py")
    assert spec is not None and spec.loader is not None, "a file beside this one"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)

    from django.conf import settings

    settings.MIDDLEWARE.append("clickpose_bridge_middleware.BridgeMiddleware")

    from label_studio.server import main as label_studio_main

    return label_studio_main()


if __name__ == "__main__":
    sys.exit(main())
