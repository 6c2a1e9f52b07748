"""Label Studio tasks <-> COCO keypoint files, without loss: what came in goes out, but for what a human has changed.

:func:`tasks_to_coco` reads Label Studio's JSON export; :func:`coco_to_tasks` and :func:`coco_results_to_tasks` write
tasks to import. Label Studio's own COCO converters keep one person an image, round to integers, forget visibility
(export) and joint names (import).

Beyond COCO, an exported image and annotation carry ``label_studio``: the ids of task, annotation and region, and the
regions that no person was found for. Imported tasks carry ``file_name`` and ``coco_image_id`` in their data, and all
that the file says of the photo (:mod:`.carried`).
"""

from clickpose_labelstudio.coco_export import Source, tasks_to_coco
from clickpose_labelstudio.coco_import import Kind, coco_results_to_tasks, coco_to_tasks

__all__ = ["Kind", "Source", "coco_results_to_tasks", "coco_to_tasks", "tasks_to_coco"]
