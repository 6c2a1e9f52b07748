"""All operators, in the order in which they are usually needed."""

from .evaluation import Calibrate, Diagnose, EvaluatePoses, FindLabelErrors
from .exchange import ExportCoco, ImportCoco, LoadFromLabelStudio, SendToLabelStudio
from .prediction import FlagLowVisibility, PredictPoses, SetUpColours
from .reviewing import AcceptRefinements, AutoAccept, DiscardRefinements, Refine, ReviewWorst, SelectForLabelling

OPERATORS = (
    PredictPoses,
    Calibrate,
    EvaluatePoses,
    Diagnose,
    FindLabelErrors,
    FlagLowVisibility,
    ReviewWorst,
    SelectForLabelling,
    AutoAccept,
    Refine,
    AcceptRefinements,
    DiscardRefinements,
    SendToLabelStudio,
    LoadFromLabelStudio,
    ImportCoco,
    ExportCoco,
    SetUpColours,
)
