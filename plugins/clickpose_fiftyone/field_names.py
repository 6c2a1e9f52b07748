"""How everything is called in a FiftyOne dataset: fields, attributes of people, columns of photos, keys of the info.

Modules, operators and panels take the names from here; what a name means stands beside it.
"""

from __future__ import annotations

# Fields that are looked for first.
PRED = "pred"
GT = "gt"
USUAL_TRUTH = (GT, "ground_truth")  # labels also where they have scores, of the predictions that they were made of

# A person: an fo.Keypoint of a Keypoints field.
POINTS = "points"  # (K, 2) in 0..1 of the photo's width and height
CONFIDENCE = "confidence"  # of each joint, as the network said
SCORE_RAW = "score_raw"  # of the person, as the network said
KEYPOINT_OKS = "keypoint_oks"  # predicted OKS of each joint
PRED_OKS = "pred_oks"  # predicted OKS of the person
VISIBILITY = "visibility"  # of each joint: a probability of predictions, COCO's 0, 1, 2 of labels
RAW_VISIBILITY = "visibility_raw"  # of each joint, as the network said, where a calibration has read it anew
PREDICTED_BY = "predicted_by"  # the network, as text, of people whom ``apply_model`` wrote
FIXED = "fixed"  # of each joint: a human placed it
BOUNDING_BOX = "bounding_box"  # left, top, width, height in 0..1
INSTANCE = "instance"  # what links a person and its box
TAGS = "tags"
AREA = "area"  # px², COCO's
RESULT_AREA = "result_area"  # px², what COCO takes as the area of an imported result
ISCROWD = "iscrowd"
NUM_KEYPOINTS = "num_keypoints"  # labelled joints; 0 makes a person count neither way, as COCO has it
OKS_BIN = "oks_bin"  # what the colour scheme colours by
JOINT_ERRORS = "joint_errors"  # kind of each joint's error, see diagnosis
LABEL_ERRORS = "label_errors"  # what looks wrong about a label, see label_errors
HISTORY = "refinement_history"  # of a person whom a human corrected: the earlier states, as JSON
ANNOTATED_VISIBILITY = "annotated_visibility"  # COCO's, of each joint, as a human gave it in Label Studio
SETTLED_BY, SETTLED_AT = "settled_by", "settled_at"  # who accepted, rejected or sent a person, and when

# A single joint of the companion fields.
JOINT_OKS = "oks"
JOINT_VISIBILITY = "joint_visibility"
JOINT_PERSON = "person"  # whose it is: the id of a label

# What a COCO file says of a person, beside area and iscrowd.
COCO_ID = "coco_id"
CATEGORY_ID = "category_id"
COCO_EXTRA = "coco_extra"  # all that has no place of its own, as JSON

# What a tooltip of a person cannot show: a value for each joint with all its digits, boxes, histories and entries.
LONG_ATTRIBUTES = (
    KEYPOINT_OKS, CONFIDENCE, VISIBILITY, RAW_VISIBILITY, ANNOTATED_VISIBILITY, FIXED, BOUNDING_BOX, HISTORY,
    COCO_EXTRA,
)  # fmt: skip

# A photo.
MIN_PRED_OKS = "min_pred_oks"  # the lowest of its people, indexed
NUM_LOW_VIS = "num_low_vis"  # joints that are probably hidden
COCO_IMAGE = "coco_image"  # its record in a COCO file, as JSON

# Tags of people.
ACCEPTED, REFINED, DISCARDED = "accepted", "refined", "refinement_discarded"
SENT, CORRECTED = "sent_to_label_studio", "corrected_in_label_studio"
AUTO_ACCEPTED = "auto_accepted"  # went through unseen
REJECTED = "rejected"  # is no person: out of the queue, of all figures and of every file, see columns
LOW_VISIBILITY_TAG, LABEL_ERROR_TAG = "low_visibility", "label_error"
TO_LABEL = "to_label"  # of photos

# Keys of dataset.info; each but the first holds a value for each field.
LOWEST_OF_INFO = "clickpose_min_pred_oks_of"
COCO_INFO = "clickpose_coco"
CALIBRATION_INFO = "clickpose_calibration"
NETWORKS_INFO = "clickpose_networks"
SKELETONS_INFO = "clickpose_skeletons"  # with sigmas and pairs, where it is none of the known ones
TAKEN_BACK_INFO = "clickpose_taken_back"  # what of a run has come back from Label Studio; one for each run
PREDICTING_INFO = "clickpose_predicting"  # a prediction that was not finished
HIDDEN_BELOW_INFO = "clickpose_hidden_below"  # visibility from which joints are coloured
LABEL_ERRORS_INFO = "clickpose_label_errors"
SOURCE_INFO = "clickpose_source"  # the folder that a dataset was made of; one for the dataset

_BOXES, _JOINTS, _LOW_VIS, _DIFFERENCES = "_boxes", "_joints", "_low_vis", "_differences"


def boxes_field_of(field: str) -> str:
    """Return the name of the Detections field whose boxes are linked to the people of a field."""
    return f"{field}{_BOXES}"


def joints_field_of(field: str) -> str:
    """Return the name of the field of coloured joints of a Keypoints field."""
    return f"{field}{_JOINTS}"


def overlay_field_of(field: str) -> str:
    """Return the name of the field that shows the joints of a Keypoints field that are probably hidden."""
    return f"{field}{_LOW_VIS}"


def differences_field_of(field: str) -> str:
    """Return the name of the field that shows the joints of a Keypoints field that differ from another one's."""
    return f"{field}{_DIFFERENCES}"


def people_path(field: str) -> str:
    """Return where the people of a Keypoints field are: ``"pred.keypoints"``."""
    return f"{field}.keypoints"


def person_path(field: str, attribute: str) -> str:
    """Return the path of an attribute of the people of a Keypoints field: ``"pred.keypoints.pred_oks"``."""
    return f"{people_path(field)}.{attribute}"
