"""Makes the pictures of README and guides: the page of pictures by itself, one drag in the real Label Studio.

``python docs/make_pictures.py`` makes all in a minute or two, with the Label Studio of ``.venv-labelstudio``;
``--only signs`` those that need no Label Studio.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.launch.bridge_script import bridge_script
from clickpose_labelstudio.launch.processes import free_port
from clickpose_labelstudio.launch.start import LaunchOptions, RunningLoop, running

DOCS = Path(__file__).resolve().parent
REPOSITORY = DOCS.parent
PHOTO = "group-1.jpg"  # of the demo
PERSON, JOINT = 1, "left_wrist"  # the second person from the left
TARGET_PCT = (20.8, 55.8)  # where the wrist is, on her watch
LEFT_PCT, RIGHT_PCT, BOTTOM_PCT = 3, 72, 88  # what of the photo is shown
DRAG_STEPS = 14
FRAME_MS, REST_MS, LAST_MS = 60, 900, 2600  # of the animation: while dragging, before it, after it
WIDTH = 640  # px of the animation

TO_SCREEN = """([x, y]) => {
    const image = Htx.annotationStore.selected.objects.find(o => o.type === 'image'), stage = image.stageRef;
    const box = stage.content.getBoundingClientRect();
    const at = {x: image.internalToCanvasX(x), y: image.internalToCanvasY(y)};
    const p = stage.getAbsoluteTransform().point(at);
    return [box.left + p.x, box.top + p.y];
}"""
# the mouse, which screenshots leave out
SHOW_MOUSE = """() => {
    const mouse = document.createElement('div');
    mouse.innerHTML = `<svg width="26" height="30" viewBox="-1 -1 17 22"><path fill="#fff" stroke="#000"
        stroke-width="1.2" d="M0 0V17L4 13.4 6.9 19.6 9.6 18.4 6.8 12.4H12Z"/></svg>`;
    mouse.style.cssText = 'position: fixed; z-index: 100000; pointer-events: none';
    document.body.append(mouse);
    const follow = ({clientX, clientY}) => Object.assign(mouse.style, {left: `${clientX}px`, top: `${clientY}px`});
    addEventListener('pointermove', follow, true);
}"""


def draw_signs(browser: Browser, folder: Path) -> None:
    """Save the legend and the five corrections as the bridge draws them, on a page of nothing else."""
    page = browser.new_page(viewport={"width": 1100, "height": 900}, device_scale_factor=1.5)
    page.set_content("<!doctype html><html><body></body></html>")
    page.add_script_tag(content=bridge_script())
    page.evaluate("() => __clickposeBridge.openPictures()")
    page.locator("#clickpose-pictures .signs").screenshot(path=folder / "signs.png")
    for figure in page.locator("#clickpose-pictures figure").all():
        figure.locator("div").screenshot(path=folder / f"{figure.get_attribute('data-name')}.png")
    page.close()


def record_drag(browser: Browser, loop: RunningLoop) -> list[Image.Image]:
    """Drag the wrist; return the screenshots: before, on the way, before the answer, after it."""
    page = browser.new_page(viewport={"width": 1440, "height": 900}, device_scale_factor=1.5)
    _open_photo(page, loop)
    page.evaluate(SHOW_MOUSE)
    region = page.evaluate(
        """([person, joint]) => {
            const regions = Htx.annotationStore.selected.regions;
            const boxes = regions.filter(r => r.type === 'rectangleregion').sort((a, b) => a.x - b.x);
            const isOf = (r, box) => (r.parentID ?? '').replace(/#.*/, '') === box.cleanId;
            const {x, y} = regions.find(r => r.labelName === joint && isOf(r, boxes[person]));
            return [x, y];
        }""",
        [PERSON, JOINT],
    )
    start, end = page.evaluate(TO_SCREEN, region), page.evaluate(TO_SCREEN, TARGET_PCT)
    page.mouse.move(*start)
    shots = [_shoot(page)]
    page.mouse.down()
    for step in range(1, DRAG_STEPS + 1):
        eased = (step / DRAG_STEPS) ** 2 * (3 - 2 * step / DRAG_STEPS)
        page.mouse.move(*(a + eased * (b - a) for a, b in zip(start, end, strict=True)))
        shots.append(_shoot(page))
    page.mouse.up()
    page.wait_for_function("() => __clickposeBridge.diagnostics.applied >= 1")
    page.mouse.move(end[0] + 9, end[1] + 9)  # off the ring, still on her
    page.wait_for_timeout(700)
    shots.append(_shoot(page))
    page.close()
    return shots


def _open_photo(page: Page, loop: RunningLoop) -> None:
    page.set_default_timeout(60_000)
    page.goto(f"{loop.url}/user/login/")
    page.fill("input[name=email]", loop.credentials.username)
    page.fill("input[name=password]", loop.credentials.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/user/login" not in url)
    with LabelStudioClient(loop.url, loop.credentials.token, use_proxies=False) as client:
        tasks = list(client.tasks(loop.project_id))
    (task,) = (task["id"] for task in tasks if str(task["data"]).find(PHOTO) >= 0)
    page.goto(f"{loop.project_url}?task={task}")
    page.wait_for_function(
        "() => window.__clickposeBridge?.status() === 'ready' && __clickposeBridge.diagnostics.bones > 0"
    )
    page.wait_for_timeout(1500)


def _shoot(page: Page) -> Image.Image:
    left, top = page.evaluate(TO_SCREEN, [LEFT_PCT, 0])
    right, bottom = page.evaluate(TO_SCREEN, [RIGHT_PCT, BOTTOM_PCT])
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    return Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")


def save_animation(shots: list[Image.Image], path: Path) -> None:
    """Save the shots as an animated WebP."""
    height = round(shots[0].height * WIDTH / shots[0].width)
    frames = [shot.resize((WIDTH, height), Image.Resampling.LANCZOS) for shot in shots]
    durations = [REST_MS, *[FRAME_MS] * (len(frames) - 3), REST_MS, LAST_MS]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=80, method=6, kmax=30
    )


def save_before_and_after(shots: list[Image.Image], path: Path) -> None:
    """Save the first and the last shot side by side."""
    height = round(shots[0].height * 685 / shots[0].width)
    before, after = (shot.resize((685, height), Image.Resampling.LANCZOS) for shot in (shots[0], shots[-1]))
    both = Image.new("RGB", (2 * 685 + 12, height), "white")
    both.paste(before, (0, 0))
    both.paste(after, (685 + 12, 0))
    both.save(path, quality=88)


def record_label_studio(browser: Browser) -> None:
    """Start Label Studio on the demo photos in a folder of its own, and save what one drag does."""
    with tempfile.TemporaryDirectory() as folder:
        options = LaunchOptions(
            data_dir=Path(folder) / "data",
            label_studio_python=REPOSITORY / ".venv-labelstudio" / "bin" / "python",
            port=free_port(18500),
            backend_port=free_port(19500),
            open_browser=False,
        )
        with running(options, print) as loop:
            loop.preannotation.wait()
            shots = record_drag(browser, loop)
    save_animation(shots, DOCS / "drag.webp")
    save_before_and_after(shots, DOCS / "annotation-loop.jpg")


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=("signs", "drag"), help="make these only")
    wanted = parser.parse_args().only
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next((found for found in map(shutil.which, names) if found), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        if wanted != "drag":
            (DOCS / "pictures").mkdir(exist_ok=True)
            draw_signs(browser, DOCS / "pictures")
        if wanted != "signs":
            record_label_studio(browser)
        browser.close()


if __name__ == "__main__":
    main()
