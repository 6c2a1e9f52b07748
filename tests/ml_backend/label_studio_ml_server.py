"""Serves ClickPoseModel through label-studio-ml with the fake predictor, on a free port; run by test_ml_adapter.py.

Usage: python label_studio_ml_server.py MODEL_DIR. Prints the port once it listens; ends with its standard input.
"""

import importlib.util
import sys
import threading
from pathlib import Path

from label_studio_ml.api import init_app
from werkzeug.serving import make_server

from clickpose_labelstudio.ml_adapter import ClickPoseModel
from clickpose_labelstudio.service import AnnotationService


def main() -> None:
    spec = importlib.util.spec_from_file_location("fakes", Path(__file__).with_name("fake_predictor.py"))
    fakes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fakes)
    predictor = fakes.FakePredictor()
    images = fakes.FakeImages({"/data/a.png": fakes.blank_image()})
    ClickPoseModel.service = AnnotationService(lambda: predictor, images, fakes.MemoryRegions())

    server = make_server("127.0.0.1", 0, init_app(model_class=ClickPoseModel, model_dir=sys.argv[1]), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    assert "clickpose_labelstudio.app" not in sys.modules, "the adapter must not need a current Flask"
    sys.stdin.read()


main()
