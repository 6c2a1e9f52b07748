"""The two ways to bring the bridge to a Label Studio that runs already: nginx, and a userscript."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import requests

from clickpose_labelstudio.launch.bridge_script import bridge_script, userscript
from clickpose_labelstudio.launch.processes import answers, free_port
from helpers.editor import Editor

pytestmark = pytest.mark.browser

SNIPPET = Path(__file__).resolve().parents[2] / "ml_backend" / "bridge" / "nginx.conf"
OUR_TAG = re.compile(r'<script src="/clickpose/bridge\.js\?v=[^>]*></script>')  # what the launcher's middleware adds
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


# bytes that the launcher's script took on its way, and that it has packed
SIZES = """() => {
    const isOurs = ({name}) => name.includes('/clickpose/bridge.js?v=');
    const entries = performance.getEntriesByType('resource').filter(isOurs);
    return [entries[0].transferSize, entries[0].encodedBodySize];
}"""


@pytest.fixture
def stock_page(page):
    """A page that gets Label Studio as it is delivered without our launcher."""

    def strip(route):
        if route.request.resource_type != "document":
            route.continue_()
            return
        answer = route.fetch()
        assert OUR_TAG.search(answer.text())
        route.fulfill(response=answer, body=OUR_TAG.sub("", answer.text()))

    page.route("**/projects/**", strip)
    return page


@pytest.fixture
def nginx(stack, tmp_path):
    """Address of an nginx with our snippet in front of Label Studio."""
    if NGINX is None:
        pytest.skip("There is no nginx; `apt-get install nginx-light` brings it")
    script = tmp_path / "bridge.js"
    script.write_text(bridge_script(), encoding="utf-8")
    snippet = SNIPPET.read_text(encoding="utf-8")
    label_studio = stack.loop.url.replace("localhost", "127.0.0.1")
    for example, real in (
        ("http://127.0.0.1:8080", label_studio),
        ("alias /etc/nginx/clickpose/bridge.js", f"alias {script}"),
    ):
        assert snippet.count(example) == 1
        snippet = snippet.replace(example, real)
    port = free_port(15000 + os.getpid() % 1000)
    folders = "".join(
        f"{kind}_temp_path {tmp_path / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"{user}daemon off;\npid {tmp_path / 'pid'};\nerror_log {tmp_path / 'error.log'};\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}gzip on;\nserver {{\nlisten 127.0.0.1:{port};\n{snippet}}}\n}}\n"
    )
    process = subprocess.Popen([NGINX, "-p", tmp_path, "-c", configuration])
    try:
        deadline = time.monotonic() + 30
        while not answers(f"http://127.0.0.1:{port}/health/") and time.monotonic() < deadline:
            time.sleep(0.1)
        yield f"http://localhost:{port}"  # the host that the annotator's login is for
    finally:
        process.terminate()
        process.wait(30)


def test_nginx_snippet_brings_a_bridge_that_refines(stock_page, nginx, stack, task_id):
    editor = Editor(stock_page, f"{nginx}/projects/{stack.loop.project_id}/data")
    editor.open(task_id)
    assert stock_page.locator("script[src='/clickpose/bridge.js']").count() == 1
    editor.drag(f"{editor.persons()[0]}-left_wrist", 20, 10)
    editor.wait_applied(1)
    editor.submit()


def test_browsers_keep_the_script(page, nginx, stack, task_id):
    """The launcher's address carries a hash, so it is never asked for again; nginx's is, and has not changed."""
    sizes = []
    for _ in range(2):
        page.goto(f"{stack.loop.project_url}?task={task_id}")
        page.wait_for_function("window.__clickposeBridge")
        sizes.append(page.evaluate(SIZES))
    (first, packed), (again, _) = sizes
    assert packed <= first < 60_000 and again == 0
    address = f"{nginx}/clickpose/bridge.js"
    answer = requests.get(address, timeout=30)
    assert answer.text == bridge_script() and answer.headers["Cache-Control"] == "no-cache"
    unchanged = requests.get(address, headers={"If-Modified-Since": answer.headers["Last-Modified"]}, timeout=30)
    assert unchanged.status_code == 304 and not unchanged.content


def test_userscript_on_a_stock_page_refines(stock_page, stack, task_id):
    editor = Editor(stock_page, stack.loop.project_url)
    stock_page.goto(f"{stack.loop.project_url}?task={task_id}")
    editor.wait("window.Htx?.annotationStore?.selected?.regions?.length == 36")
    assert stock_page.evaluate("window.__clickposeBridge === undefined")
    stock_page.add_script_tag(content=userscript(f"{stack.loop.url}/*", "0"))  # as managers do with "@grant none"
    editor.wait("__clickposeBridge.diagnostics.bones > 0 && __clickposeBridge.status() == 'ready'")
    stock_page.wait_for_timeout(500)
    editor.drag(f"{editor.persons()[0]}-left_wrist", 20, 10)
    editor.wait_applied(1)
