"""Work on a run and die at each of its dealings with files in turn, then finish; prints how many deaths there were.

    python crash.py FOLDER

A process of its own, since it forks and counts what Python opens, renames, links and removes.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from clickpose.large_sets import work
from clickpose.large_sets.joining import Join
from clickpose.large_sets.manifests import Listed
from clickpose.large_sets.run_folder import Asked, RunFolder

PHOTOS = [f"{number}.jpg" for number in range(35)]
ASKED = Asked(network="fake", threshold=0.0, max_pixels=1, max_bytes=1, skeleton="coco")
EVENTS = ("open", "os.rename", "os.link", "os.remove", "os.mkdir")
KILLED = 9
counted, deadly = 0, -1


def pose(photos):
    return [row_of(photo.name) for photo in photos]


def row_of(name):
    return {"photo": name, "error": "none"} if name == "7.jpg" else {"photo": name, "people": [{"score": len(name)}]}


def go_on(folder: Path) -> None:
    """What the command does."""
    if not RunFolder.exists(folder):
        RunFolder.start(folder, ASKED, ["list"], (Listed(name, name) for name in PHOTOS))
    work.Worker(RunFolder(folder), pose, work.Share(), lambda sentence: None).work()


def die(event: str, arguments: tuple) -> None:
    global counted
    if deadly >= 0 and event in EVENTS and str(arguments[0]).startswith(sys.argv[1]):
        if counted == deadly:
            os._exit(KILLED)
        counted += 1


def main(folder: Path) -> None:
    global deadly
    sys.addaudithook(die)
    work.OTHERS_S = 0.0
    for moment in range(10_000):
        child = os.fork()
        if child == 0:
            deadly = moment
            go_on(folder)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code not in (0, KILLED):
            raise SystemExit(f"A process that should die at moment {moment} has failed")
        go_on(folder)
        rows = [row for _, _, row in Join([folder]).rows()]
        if rows != [row_of(name) for name in PHOTOS]:
            raise SystemExit(f"After a death at moment {moment} the rows are {rows}")
        left = [path.name for path in (folder / "claims").iterdir() if path.name.isdecimal()]
        if left:
            raise SystemExit(f"After a death at moment {moment} there are claims {left}")
        shutil.rmtree(folder)
        if code == 0:
            print(json.dumps({"deaths": moment}))
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
