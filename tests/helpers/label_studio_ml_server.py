"""Serves ClickPoseModel through label-studio-ml with the fake predictor, on a free port.

``python -m helpers.label_studio_ml_server MODEL_DIR`` prints the port once it listens; it ends with its standard input.
Run by ml_backend/test_ml_adapter.py.
"""

import sys
import threading

from label_studio_ml.api import init_app
from werkzeug.serving import make_server

from clickpose_labelstudio.ml_adapter import ClickPoseModel
from clickpose_labelstudio.service import AnnotationService
from helpers import fakes


def main() -> None:
    predictor = fakes.FakePredictor()
    images = fakes.FakeImages({"/data/a.png": fakes.blank_image()})
    ClickPoseModel.service = AnnotationService(lambda: predictor, images, fakes.MemoryRegions())

    server = make_server("127.0.0.1", 0, init_app(model_class=ClickPoseModel, model_dir=sys.argv[1]), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    assert "clickpose_labelstudio.app" not in sys.modules, "the adapter must not need a current Flask"
    sys.stdin.read()


if __name__ == "__main__":
    main()
