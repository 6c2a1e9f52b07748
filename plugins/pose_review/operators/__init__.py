"""All operators, in the order in which they are usually needed."""

from .comparison import CompareFields
from .evaluation import Calibrate, Diagnose, EvaluatePoses, FindLabelErrors
from .exchange import ExportCoco, ImportCoco, LoadFromLabelStudio, SendToLabelStudio
from .prediction import FlagLowVisibility, PredictPoses, SetUpColours
from .reviewing import AcceptRefinements, AutoAccept, DiscardRefinements, Refine, ReviewWorst, SelectForLabelling
from .settling import SettlePeople, UndoAction

OPERATORS = (
    PredictPoses,
    Calibrate,
    EvaluatePoses,
    Diagnose,
    FindLabelErrors,
    CompareFields,
    FlagLowVisibility,
    ReviewWorst,
    SelectForLabelling,
    AutoAccept,
    SettlePeople,
    UndoAction,
    Refine,
    AcceptRefinements,
    DiscardRefinements,
    SendToLabelStudio,
    LoadFromLabelStudio,
    ImportCoco,
    ExportCoco,
    SetUpColours,
)
