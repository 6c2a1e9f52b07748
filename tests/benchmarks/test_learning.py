"""The simulated team: whom it labels in which round, and that a stopped run goes on with what it had."""

import json

import learning
import numpy as np
from PIL import Image


def team_of(tmp_path, ledger, persons=(2, 1, 3, 1)):
    folder = tmp_path / "photos"
    content = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(len(persons))],
        "annotations": [{"id": 10 * n + i, "image_id": n} for n, count in enumerate(persons) for i in range(count)],
    }
    (folder / "images").mkdir(parents=True)
    (folder / "annotations.json").write_text(json.dumps(content))
    pool = {folder / "images" / f"{n}.png": [None] * count for n, count in enumerate(persons)}
    before = np.array([[0.5, 0.8, 1.0], [0.2, 0.95, 1.0]])
    return learning.Team(folder, pool, before, ["a", "b"], ledger, tmp_path / "out", {"keep": None})


class Better:
    """Measures the same as before, one click sooner with every round."""

    def __init__(self):
        self.names = []

    def measure(self, name, make):
        self.names.append(name)
        return np.array([[0.9, 1.0, 1.0], [0.95, 1.0, 1.0]])


def test_rounds_add_up_and_go_on(tmp_path, monkeypatch, capsys):
    trained = []

    def learn(folder, start, out, **options):
        assert options == {"keep": None}
        trained.append(json.loads((folder / "annotations.json").read_text()))
        out.mkdir(parents=True)
        (out / "lite.safetensors").touch()

    monkeypatch.setattr(learning, "learn_from_team", learn)
    ledger = Better()
    team = team_of(tmp_path, ledger)
    team.label_and_learn("random", 2, 3)
    assert [len(each["annotations"]) for each in trained] == [3, 6]
    assert [name.partition(" {")[0] for name in ledger.names] == [
        "random, 3 persons labelled",
        "random, 6 persons labelled",
    ]
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("| random, 3 persons labelled | 0.00 (0.00 to 0.00) | -100.0%")
    team.label_and_learn("random", 2, 3)
    assert len(trained) == 2  # nothing is done twice


def test_infrared_is_grey_inverted_and_the_same_each_time():
    photo = Image.new("RGB", (40, 30), "white")
    photo.paste((0, 0, 0), (0, 0, 20, 30))
    seen = np.asarray(learning.infrared(photo, 3)).astype(int)
    assert (seen[..., 0] == seen[..., 1]).all()
    assert seen[:, :15].mean() > seen[:, 25:].mean() + 50
    assert (seen == np.asarray(learning.infrared(photo, 3))).all()
