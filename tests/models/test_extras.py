"""What is not installed is missed before work is done, in one sentence that says how to get it."""

import sys

import pytest

from clickpose.commands.calibrate.fit import FitRequest, fit_results
from clickpose.commands.evaluate import EvaluationPlan, run_evaluation
from clickpose.commands.export import export_from_options
from clickpose.extras import require_extra
from clickpose.networks.movenet_onnx import read_movenet_onnx


def test_installed_modules_are_no_matter():
    require_extra("plots", "json", "numpy")


def test_all_missing_modules_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ValueError, match=r"^Expected jinja2 and matplotlib to be installed: .*clickpose\[plots\]"):
        require_extra("plots", "jinja2", "numpy", "matplotlib")


def test_a_plot_or_a_report_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    nowhere = tmp_path / "absent"
    plan = EvaluationPlan([nowhere])
    with pytest.raises(ValueError, match=r"clickpose\[plots\]"):
        run_evaluation(plan, None, plot_path=tmp_path / "plot.png")
    request = FitRequest(results=nowhere, annotations=nowhere, name="any", report=tmp_path / "report.html")
    with pytest.raises(ValueError, match=r"clickpose\[plots\]"):
        fit_results(request)


def test_without_onnx_nothing_is_exported_or_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"Expected onnx to be installed: .*clickpose\[train\]"):
        export_from_options(tmp_path / "absent.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"clickpose\[train\]"):
        read_movenet_onnx(tmp_path / "absent.onnx")


def test_a_file_that_is_no_graph_is_named(tmp_path):
    wrong = tmp_path / "thunder.onnx"
    wrong.write_bytes(b"no graph at all")
    with pytest.raises(ValueError, match=r"Expected MoveNet Thunder in thunder\.onnx, got no ONNX graph"):
        read_movenet_onnx(wrong)
