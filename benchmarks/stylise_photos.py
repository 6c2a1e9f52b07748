"""Make a stylised copy of a data set: do the figures hold on photos such as the network has never seen?

    python benchmarks/stylise_photos.py ../shared/data/coco_fullres runs/stylised
    ln -s "$(realpath ../shared/weights)" runs/stylised/weights
    python benchmarks/clicks.py --shared runs/stylised --sets stylised --quick

Every photo gets one of four styles in turn: oil paint, comic, pencil, tinted paint. Poses stay where they are, so the
labels are copied as they are. Filters are no art: the figures say how much a change of texture and colour costs,
not what happens with drawn bodies.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from PIL import Image, ImageChops, ImageFilter, ImageOps
from tqdm import tqdm


def oil_paint(photo: Image.Image) -> Image.Image:
    """Patches of the commonest colour around each pixel."""
    return ImageOps.posterize(photo, 5).filter(ImageFilter.ModeFilter(9))


def comic(photo: Image.Image) -> Image.Image:
    """Few flat colours with black outlines."""
    flat = ImageOps.posterize(photo.filter(ImageFilter.MedianFilter(7)), 2)
    smooth = ImageOps.grayscale(photo).filter(ImageFilter.GaussianBlur(1.5))
    outlines = ImageChops.subtract(smooth.filter(ImageFilter.BoxBlur(5)), smooth).point(lambda v: 0 if v > 6 else 255)
    return ImageChops.multiply(ImageOps.autocontrast(flat), outlines.convert("RGB"))


def pencil(photo: Image.Image) -> Image.Image:
    """A grey drawing: each pixel's lightness over that of its surroundings (colour dodge)."""
    grey = ImageOps.grayscale(photo)
    around = grey.filter(ImageFilter.GaussianBlur(8))
    # x / around for x < around, white elsewhere, squared: lines as dark as a soft pencil's.
    ratio = [min(255, 255 * x * x // max(1, a * a)) for x, a in zip(grey.tobytes(), around.tobytes(), strict=True)]
    return Image.frombytes("L", grey.size, bytes(ratio)).convert("RGB")


def tinted_paint(photo: Image.Image) -> Image.Image:
    """Paint in two inks: no colour is as it was."""
    return ImageOps.colorize(ImageOps.grayscale(oil_paint(photo)), black="#1d1147", mid="#d0486b", white="#fdf3c3")


STYLES = (oil_paint, comic, pencil, tinted_paint)


def main() -> None:
    """Write ``OUT/data/stylised``: a COCO-format folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="COCO-format folder: annotations.json and images/")
    parser.add_argument("out", type=Path, help="working folder")
    args = parser.parse_args()
    target = args.out / "data" / "stylised"
    content = json.loads((args.source / "annotations.json").read_text())
    for index, image in enumerate(tqdm(content["images"], desc="stylising", unit="photo")):
        path = target / "images" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(args.source / "images" / image["file_name"]) as photo:
            STYLES[index % len(STYLES)](photo.convert("RGB")).save(path)
    shutil.copy(args.source / "annotations.json", target)


if __name__ == "__main__":
    main()
