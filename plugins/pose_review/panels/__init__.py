"""All panels."""

from .calibration import CalibrationPanel
from .comparison import ComparisonPanel
from .diagnosis import DiagnosisPanel
from .refine import RefinePanel
from .review import ReviewPanel

PANELS = (ReviewPanel, CalibrationPanel, DiagnosisPanel, ComparisonPanel, RefinePanel)
