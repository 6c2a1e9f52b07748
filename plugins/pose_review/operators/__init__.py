"""All operators, in the order in which they are usually needed."""

from .comparison import CompareFields
from .evaluation import Calibrate, Diagnose, EvaluatePoses, FindLabelErrors, RestoreRawScores
from .exchange import ExportCoco, ImportCoco, LoadFromLabelStudio, SendToLabelStudio, UndoLoadFromLabelStudio
from .prediction import FlagLowVisibility, PredictPoses, SetUpColours
from .reviewing import AcceptRefinements, AutoAccept, DiscardRefinements, Refine, ReviewWorst, SelectForLabelling
from .settling import SettlePeople, UndoAction

OPERATORS = (
    PredictPoses,
    Calibrate,
    RestoreRawScores,
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
    UndoLoadFromLabelStudio,
    ImportCoco,
    ExportCoco,
    SetUpColours,
)
