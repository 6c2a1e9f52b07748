"""Draws poses over their photo, coloured by how good the network thinks each joint is (predicted OKS)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from clickpose.checks import check_image
from clickpose.structures import Pose, Poses

# Dark violet to yellow through red: lightness rises evenly with the score, and no red meets a green, so that the scale
# reads the same for colour-blind eyes and in grey ("plasma", brightened at the dark end to stand out from a photo).
_SCALE = np.array(
    [[96, 22, 204], [156, 23, 158], [203, 70, 121], [237, 121, 83], [251, 173, 60], [240, 249, 33]], np.float64
)
_OUTLINE = (20, 20, 28)
_SUPERSAMPLING = 3
_LAYER_PIXELS = 36_000_000  # larger drawings are supersampled less
_SMALLEST_PERSON, _LARGEST_PERSON = 60.0, 1200.0  # pixels; line widths grow in between


@dataclass(frozen=True)
class DrawStyle:
    """What is drawn.

    Attributes:
        boxes: thin person boxes.
        scores: the instance score at each box.
        legend: the colour scale, in the lower left corner.
        visible_from: visibility score below which a joint is hollow and its bones are dashed.
        hide_below: visibility score below which a joint and its bones are not drawn.
    """

    boxes: bool = True
    scores: bool = True
    legend: bool = True
    visible_from: float = 0.5
    hide_below: float = 0.0


def score_color(score: float) -> tuple[int, int, int]:
    """Return the RGB colour of a score: violet at 0, through red, to yellow at 1."""
    position = float(np.clip(np.nan_to_num(score), 0, 1)) * (len(_SCALE) - 1)
    low = min(int(position), len(_SCALE) - 2)
    color = _SCALE[low] + (position - low) * (_SCALE[low + 1] - _SCALE[low])
    return tuple(round(channel) for channel in color)


def draw_poses(image: np.ndarray, poses: Poses, style: DrawStyle | None = None) -> np.ndarray:
    """Draw the skeletons of a photo's people.

    Bones run from the colour of one joint to that of the other. An occluded joint is hollow and its bones are dashed; a
    joint placed by a human has a white ring; a joint that is not placed is left out.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        poses: its people, pixels of this image.
        style: what is drawn; None for everything.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if the image has another shape or dtype.
    """
    style = DrawStyle() if style is None else style
    result = Image.fromarray(check_image(image))
    doubtful_first = np.argsort(poses.instance_scores, kind="stable")
    for index in doubtful_first:
        _draw_person(result, poses[int(index)], style)
    if style.legend and len(poses):
        _draw_legend(result)
    return np.array(result)


class _Layer:
    """A transparent, supersampled drawing surface over a part of the photo; speaks in pixels of the photo."""

    def __init__(self, box_xyxy: np.ndarray, image_wh: tuple[int, int]):
        left, top = (int(v) for v in np.clip(np.floor(box_xyxy[:2]), 0, np.array(image_wh) - 1))
        right, bottom = (int(v) for v in np.clip(np.ceil(box_xyxy[2:]), [left + 1, top + 1], image_wh))
        self.origin, self.wh = (left, top), (right - left, bottom - top)
        fits = int((_LAYER_PIXELS / (self.wh[0] * self.wh[1])) ** 0.5)
        self.factor = int(np.clip(fits, 1, _SUPERSAMPLING))
        self.pixels = Image.new("RGBA", (self.wh[0] * self.factor, self.wh[1] * self.factor), (0, 0, 0, 0))
        self.pen = ImageDraw.Draw(self.pixels)

    def points(self, points: ArrayLike) -> list[tuple[float, float]]:
        """Map (M, 2) photo pixels to the surface."""
        mapped = (np.asarray(points, np.float64).reshape(-1, 2) - self.origin) * self.factor
        return [(x, y) for x, y in mapped.tolist()]

    def line(self, start: np.ndarray, end: np.ndarray, width: float, color: tuple[int, ...]) -> None:
        """Draw a straight line with round ends, ``width`` photo pixels wide."""
        direction = np.asarray(end) - start
        length = np.hypot(*direction)
        normal = np.array([-direction[1], direction[0]]) / length * width / 2 if length else np.zeros(2)
        self.pen.polygon(self.points([start + normal, end + normal, end - normal, start - normal]), fill=color)
        for point in (start, end):
            self.disc(point, width / 2, color)

    def disc(self, center: ArrayLike, radius: float, color: tuple[int, ...]) -> None:
        """Fill a circle; a transparent colour cuts a hole into what the layer holds."""
        self.pen.ellipse(self._square(center, radius), fill=color)

    def _square(self, center: ArrayLike, radius: float) -> list[tuple[float, float]]:
        return self.points([np.asarray(center) - radius, np.asarray(center) + radius])

    def merge_into(self, image: Image.Image) -> None:
        """Lay the drawing over the photo."""
        smooth = self.pixels.resize(self.wh, Image.Resampling.BOX)
        area = (*self.origin, self.origin[0] + self.wh[0], self.origin[1] + self.wh[1])
        under = image.crop(area).convert("RGBA")
        image.paste(Image.alpha_composite(under, smooth).convert("RGB"), area)


def _draw_person(image: Image.Image, pose: Pose, style: DrawStyle) -> None:
    """Draw one person: box, bones, joints, score."""
    placed = np.isfinite(pose.keypoints).all(axis=1)
    shown = placed & (pose.visibility_scores >= style.hide_below)
    corners = pose.box_xyxy.reshape(2, 2)
    extent = np.concatenate([corners, pose.keypoints[shown]])
    size = float(np.clip(np.sqrt(np.ptp(corners, axis=0)).prod(), _SMALLEST_PERSON, _LARGEST_PERSON))
    width = 0.7 + 0.0105 * size
    margin = 6 * width
    layer = _Layer(np.concatenate([extent.min(axis=0) - margin, extent.max(axis=0) + margin]), image.size)
    if style.boxes:
        _draw_box(layer, pose, width)
    _draw_bones(layer, pose, shown, width, style)
    for joint in np.flatnonzero(shown).tolist():
        _draw_joint(layer, pose, joint, width, style)
    layer.merge_into(image)
    if style.scores:
        _draw_score(image, pose, size)


def _draw_box(layer: _Layer, pose: Pose, width: float) -> None:
    left, top, right, bottom = pose.box_xyxy
    thin = max(1.0, 0.35 * width)
    outline = [(left, top), (right, top), (right, bottom), (left, bottom)]
    for color, wide in (((*_OUTLINE, 110), thin + 1), ((*score_color(pose.instance_score), 235), thin)):
        for start, end in zip(outline, outline[1:] + outline[:1], strict=True):
            layer.line(np.array(start), np.array(end), wide, color)


def _draw_bones(layer: _Layer, pose: Pose, shown: np.ndarray, width: float, style: DrawStyle) -> None:
    """Draw all dark edges first, so that no bone's edge cuts another bone."""
    bones = [edge for edge in pose.skeleton.edges if shown[list(edge)].all()]
    pieces = [piece for bone in bones for piece in _bone_pieces(pose, bone, width, style)]
    for start, end, _ in pieces:
        layer.line(start, end, width + 0.35 * width + 0.8, (*_OUTLINE, 190))
    for start, end, color in pieces:
        layer.line(start, end, width, (*color, 255))


def _bone_pieces(pose: Pose, bone: tuple[int, int], width: float, style: DrawStyle) -> list[tuple]:
    """Return (start, end, colour) of the short pieces of a bone: a colour gradient, with gaps when it is occluded."""
    (start, end), scores = pose.keypoints[list(bone)], pose.keypoint_scores[list(bone)]
    dashed = (pose.visibility_scores[list(bone)] < style.visible_from).any()
    length = float(np.hypot(*(end - start)))
    # a joint far outside the photo must not cost minutes: at most 200 pieces
    count = int(np.clip(round(length / (2.2 * width)), 1, 200))
    pieces = []
    for k in range(count):
        low, high = k / count, (k + 1) / count
        if dashed:
            if k % 2:
                continue
            high = low + 0.5 / count
        color = score_color(scores[0] + (low + high) / 2 * (scores[1] - scores[0]))
        pieces.append((start + low * (end - start), start + high * (end - start), color))
    return pieces


def _draw_joint(layer: _Layer, pose: Pose, joint: int, width: float, style: DrawStyle) -> None:
    center, radius = pose.keypoints[joint], 1.15 * width
    color = (*score_color(pose.keypoint_scores[joint]), 255)
    rim = 0.25 * width + 0.5
    if pose.fixed[joint]:
        layer.disc(center, radius + 3 * rim, (*_OUTLINE, 255))
        layer.disc(center, radius + 2 * rim, (255, 255, 255, 255))
    layer.disc(center, radius + rim, (*_OUTLINE, 255))
    layer.disc(center, radius, color)
    if pose.visibility_scores[joint] < style.visible_from:
        layer.disc(center, 0.55 * radius, (0, 0, 0, 0))


def _draw_score(image: Image.Image, pose: Pose, size: float) -> None:
    """Write the instance score on a dark tag in the upper left corner of the box."""
    font = _font(float(np.clip(0.05 * size, 10, 26)))
    left, top = np.clip(pose.box_xyxy[:2], 0, np.array(image.size) - 1)
    _draw_tag(image, (left, top), f"{pose.instance_score:.2f}", font, score_color(pose.instance_score))


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Expected a Pillow with FreeType to write figures on photos, got one without")
    return font


def _draw_tag(
    image: Image.Image, corner_xy: tuple[float, float], text: str, font: ImageFont.FreeTypeFont, color: tuple[int, ...]
) -> None:
    """Write text on a dark rounded tag whose upper left corner is given, inside the image where it fits."""
    pad = font.size * 0.3
    width, height = font.getlength(text) + 2 * pad, font.size + 2 * pad
    left = max(0.0, min(corner_xy[0], image.width - width))
    top = max(0.0, min(corner_xy[1], image.height - height))
    layer = _Layer(np.array([left, top, left + width, top + height]), image.size)
    box = layer.points([(left, top), (left + width, top + height)])
    layer.pen.rounded_rectangle([*box[0], *box[1]], radius=pad * layer.factor, fill=(*_OUTLINE, 200))
    large = _font(font.size * layer.factor)
    middle = layer.points([(left + width / 2, top + height / 2)])[0]
    layer.pen.text(middle, text, font=large, fill=(*color, 255), anchor="mm")
    layer.merge_into(image)


def _draw_legend(image: Image.Image) -> None:
    """Draw the colour scale with its name in the lower left corner, where the photo has room for it."""
    unit = float(np.clip(min(image.size) / 50, 8, 24))
    bar_wh, pad = np.array([9 * unit, 0.8 * unit]), 0.7 * unit
    panel_wh = bar_wh + np.array([2 * pad, 2 * pad + 3.0 * unit])
    if (panel_wh * 2 > image.size).any():
        return
    left, top = unit * 0.7, image.height - panel_wh[1] - unit * 0.7
    layer = _Layer(np.array([left, top, left + panel_wh[0], top + panel_wh[1]]), image.size)
    panel = layer.points([(left, top), (left + panel_wh[0], top + panel_wh[1])])
    layer.pen.rounded_rectangle([*panel[0], *panel[1]], radius=0.5 * unit * layer.factor, fill=(*_OUTLINE, 190))
    font = ImageFont.load_default(unit * layer.factor)
    bar_left, bar_top = left + pad, top + pad + 1.5 * unit
    white = (245, 245, 245, 255)
    layer.pen.text(layer.points([(bar_left, top + pad)])[0], "predicted OKS", font=font, fill=white, anchor="lt")
    steps = int(bar_wh[0] * layer.factor)
    for step in range(steps):
        x = bar_left + bar_wh[0] * (step + 0.5) / steps
        ends = layer.points([(x, bar_top), (x, bar_top + bar_wh[1])])
        layer.pen.line(ends, fill=(*score_color(step / (steps - 1)), 255), width=2)  # 1 leaves gaps
    for value, anchor in ((0.0, "lt"), (0.5, "mt"), (1.0, "rt")):
        place = layer.points([(bar_left + value * bar_wh[0], bar_top + bar_wh[1] + 0.35 * unit)])[0]
        layer.pen.text(place, f"{value:g}", font=font, fill=white, anchor=anchor)
    layer.merge_into(image)
