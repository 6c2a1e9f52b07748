"""Small COCO files of people with three joints."""

from clickpose.skeleton import Skeleton

TRIO = Skeleton("trio", ("nose", "left_hip", "right_hip"), ((0, 1), (0, 2)), ((1, 2),), (0.03, 0.1, 0.1))
NAN = float("nan")


def category(id_=1, names=TRIO.names, name="person"):
    return {"id": id_, "name": name} | ({} if names is None else {"keypoints": list(names)})


def person(**changes):
    keypoints = [1.0, 2.0, 2, 3.0, 4.0, 1, 5.0, 6.0, 2]
    return {
        "id": 7,
        "image_id": 1,
        "category_id": 1,
        "bbox": [0, 0, 9, 9],
        "area": 40.0,
        "keypoints": keypoints,
    } | changes


def document(*annotations, categories=None, images=(1, 2)):
    entries = [{"id": id_, "file_name": f"{id_}.jpg", "width": 64, "height": 48} for id_ in images]
    categories = [category()] if categories is None else categories
    return {"images": entries, "annotations": list(annotations), "categories": categories}


def result(third=(0.9, 0.8, 0.7), **changes):
    numbers = [
        value for (x, y), v in zip([(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)], third, strict=True) for value in (x, y, v)
    ]
    return {"image_id": 1, "category_id": 1, "keypoints": numbers, "score": 0.5} | changes
