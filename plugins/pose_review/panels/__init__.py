"""All panels."""

from .calibration import CalibrationPanel
from .diagnosis import DiagnosisPanel
from .refine import RefinePanel
from .review import ReviewPanel

PANELS = (ReviewPanel, CalibrationPanel, DiagnosisPanel, RefinePanel)
