"""The Refine panel's picture: a photo with a skeleton that can be clicked, as a Plotly figure.

Plotly tells where a click went only for some traces. A heatmap of one cell a click target, nearly transparent over the
photo, does.
"""

from __future__ import annotations

import numpy as np

from clickpose.draw import score_color
from clickpose.structures import Pose
from clickpose_fiftyone.thumbnails import cached_photo, data_uri, person_window

CELLS = 180  # click targets along the longer side
_PICTURE_SIDE = 1000  # pixels of the picture's longer side
_PICK_SHARE = 0.025  # a click nearer to a joint than this share of the picture's longer side chooses it
_CYAN = "#36c9ff"


def canvas_figure(
    path: str, pose: Pose, before: Pose | None, active: str | None = None, whole_photo: bool = False, height: int = 620
) -> tuple[list[dict], dict]:
    """Return (traces, layout) of one person on the photo.

    Args:
        path: the photo.
        pose: the person as it is now, px.
        before: the person as it was, drawn faintly; None for nothing.
        active: name of the chosen joint.
        whole_photo: show all of the photo instead of the person's surroundings.
        height: of the figure, pixels.

    Raises:
        ValueError: if the photo cannot be read.
    """
    window = canvas_window(path, pose, whole_photo)
    traces = [_click_targets(window)]
    if before is not None:
        traces += _bones(before, "rgba(235,235,245,0.55)", 1.5, "dot")
    traces += [*_bones(pose, None, 3, "solid"), _joints(pose, active)]
    return traces, _layout(path, window, height)


def canvas_window(path: str, pose: Pose, whole_photo: bool = False) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) px of the photo's part that is shown."""
    image_hw = cached_photo(path).shape[:2]
    if whole_photo:
        return 0, 0, image_hw[1], image_hw[0]
    return person_window(pose.box_xyxy, image_hw, 0.3, 1.1)


def pick_joint(pose: Pose, x: float, y: float, window: tuple[int, int, int, int]) -> str | None:
    """Return the joint that a click at (x, y) px lies on, or None."""
    distance = np.linalg.norm(np.nan_to_num(pose.keypoints, nan=np.inf) - (x, y), axis=1)
    nearest = int(distance.argmin())
    reach = _PICK_SHARE * max(window[2] - window[0], window[3] - window[1])
    return pose.skeleton.names[nearest] if distance[nearest] <= reach else None


def _click_targets(window: tuple[int, int, int, int]) -> dict:
    left, top, right, bottom = window
    step = max(right - left, bottom - top) / CELLS
    x = np.arange(left + step / 2, right, step)
    y = np.arange(top + step / 2, bottom, step)
    return {
        "type": "heatmap", "name": "canvas", "x": np.round(x, 2).tolist(), "y": np.round(y, 2).tolist(),
        "z": np.zeros((len(y), len(x)), int).tolist(), "opacity": 0.01, "showscale": False, "zmin": 0, "zmax": 1,
        "colorscale": [[0, "#000000"], [1, "#ffffff"]], "hovertemplate": "%{x:.0f}, %{y:.0f}<extra></extra>",
    }  # fmt: skip


def _bones(pose: Pose, color: str | None, width: float, dash: str) -> list[dict]:
    """One line a bone, in the colour of its less certain end; bones of hidden joints are thin."""
    traces = []
    for start, end in pose.skeleton.edges:
        ends = pose.keypoints[[start, end]]
        if not np.isfinite(ends).all():
            continue
        worse = min(pose.keypoint_scores[start], pose.keypoint_scores[end])
        hidden = min(pose.visibility_scores[start], pose.visibility_scores[end]) < 0.5
        line = {"color": color or _rgb(worse), "width": width * (0.5 if hidden else 1), "dash": dash}
        traces.append(
            {"type": "scatter", "mode": "lines", "x": ends[:, 0].tolist(), "y": ends[:, 1].tolist(), "line": line,
             "hoverinfo": "skip", "showlegend": False}
        )  # fmt: skip
    return traces


def _joints(pose: Pose, active: str | None) -> dict:
    placed = np.flatnonzero(np.isfinite(pose.keypoints).all(axis=1)).tolist()
    names = [pose.skeleton.names[joint] for joint in placed]
    chosen = [name == active for name in names]
    edges = [
        _CYAN if pick else "#ffffff" if pose.fixed[j] else "#14141c" for pick, j in zip(chosen, placed, strict=True)
    ]
    return {
        "type": "scatter", "mode": "markers", "showlegend": False, "hoverinfo": "skip",
        "x": pose.keypoints[placed, 0].tolist(), "y": pose.keypoints[placed, 1].tolist(),
        "marker": {
            "size": [17 if pick else 11 for pick in chosen],
            "color": [_rgb(pose.keypoint_scores[joint]) for joint in placed],
            "symbol": ["circle" if pose.visibility_scores[joint] >= 0.5 else "circle-open-dot" for joint in placed],
            "line": {"color": edges, "width": [4 if pick else 3 if pose.fixed[j] else 1.5
                                               for pick, j in zip(chosen, placed, strict=True)]},
        },
    }  # fmt: skip


def _layout(path: str, window: tuple[int, int, int, int], height: int) -> dict:
    left, top, right, bottom = window
    hidden = {"visible": False, "fixedrange": True, "constrain": "domain"}
    return {
        "height": height,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "xaxis": {**hidden, "range": [left, right]},
        "yaxis": {**hidden, "range": [bottom, top], "scaleanchor": "x", "constraintoward": "top"},
        "images": [
            {"source": _picture(path, window), "xref": "x", "yref": "y", "x": left, "y": top, "sizex": right - left,
             "sizey": bottom - top, "sizing": "stretch", "layer": "below"}
        ],
    }  # fmt: skip


def _picture(path: str, window: tuple[int, int, int, int]) -> str:
    from PIL import Image

    left, top, right, bottom = window
    crop = Image.fromarray(cached_photo(path)[top:bottom, left:right])
    factor = _PICTURE_SIDE / max(crop.size)
    if factor < 1:
        crop = crop.resize([max(1, round(side * factor)) for side in crop.size], Image.Resampling.LANCZOS)
    return data_uri(np.asarray(crop))


def _rgb(score: float) -> str:
    return "rgb({},{},{})".format(*score_color(score))
