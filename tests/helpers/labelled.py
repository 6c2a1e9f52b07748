"""Annotations as Label Studio tells them, of people whose regions are few and known."""

from __future__ import annotations

from clickpose_labelstudio.labeling_config import build_labeling_config

PHOTO = {"original_width": 1000, "original_height": 800, "image_rotation": 0, "to_name": "image"}


def person(person_id, joints, *, origin="prediction", score=0.9, box=(30.0, 10.0, 40.0, 80.0)):
    """Return the regions of somebody: joint name -> (x, y) percent, and a box x, y, width, height percent."""
    items = []
    for name, (x, y) in joints.items():
        value = {"x": x, "y": y, "width": 0.6, "keypointlabels": [name]}
        items.append({**PHOTO, "id": f"{person_id}-{name}", "from_name": "keypoint", "type": "keypointlabels",
                      "parentID": person_id, "origin": origin, "score": score, "value": value})  # fmt: skip
    x, y, width, height = box
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["person"]}
    items.append({**PHOTO, "id": person_id, "from_name": "box", "type": "rectanglelabels", "origin": origin,
                  "score": score, "value": value})  # fmt: skip
    return items


def moved(items, joint, dx, dy):
    """Return regions of which a human has touched one joint and moved it by so many percent."""
    return [
        {**item, "origin": "prediction-changed",
         "value": {**item["value"], "x": item["value"]["x"] + dx, "y": item["value"]["y"] + dy}}
        if item["id"].endswith(joint) else item
        for item in items
    ]  # fmt: skip


def annotation(result, before=None, *, number=1, task=1, second=0, annotator=1, lead_time=10.0):
    """Return an annotation that was saved in a second of a minute, and began with the prediction ``before``."""
    at = f"2026-11-21T01:48:{second:02d}.000000Z"
    return {
        "id": number, "task": task, "result": result, "completed_by": annotator, "lead_time": lead_time,
        "created_at": "2026-11-21T01:48:00.000000Z", "updated_at": at, "was_cancelled": False,
        "prediction": {} if before is None else {"result": before, "model_version": "clickpose-1"},
    }  # fmt: skip


def webhook(saved, action="ANNOTATION_CREATED", project=7):
    """Return the body of the webhook that tells of an annotation."""
    return {
        "action": action, "annotation": {**saved, "project": project},
        "project": {"id": project, "label_config": build_labeling_config()},
    }  # fmt: skip
