"""Replace the onnxruntime-web that browsers run the decoder with; needs npm (see ``static/runtime/README.md``)."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

from clickpose_labelstudio.browser_decoding import RUNTIME, SCRIPT, WASM

PACKAGE = "onnxruntime-web"
LICENSE = """\
MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""  # the npm package names this licence without its text


def renew(version: str) -> None:
    """Fetch a version and write its files, their licence and their checksums.

    Raises:
        subprocess.CalledProcessError: if npm does not find the version.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{version}"], cwd=folder, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            script, wasm = (_member(tar, f"package/dist/{name}") for name in (SCRIPT, WASM.removesuffix(".gz")))
    (RUNTIME / SCRIPT).write_bytes(script)
    (RUNTIME / WASM).write_bytes(gzip.compress(wasm, 9, mtime=0))
    (RUNTIME / "LICENSE").write_text(LICENSE, encoding="utf-8")
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in ((SCRIPT, script), (WASM[:-3], wasm))}
    listed = {"package": PACKAGE, "version": version, "license": "MIT", "sha256": sums}
    (RUNTIME / "runtime.json").write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"Expected a file {name} in the package")
    return file.read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="such as 1.30.0")
    renew(parser.parse_args().version)
