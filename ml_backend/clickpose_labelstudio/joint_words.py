"""What a label that names no joint may have meant: a misspelt joint, or one in German, French or Spanish.

Nothing is decided here: joints are matched by :meth:`.Skeleton.match` alone. This only finds words for the sentence
that says so.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from clickpose.skeleton import Skeleton, normalize_joint_name

NEAR = 0.75  # share of letters in common (difflib's ratio) from which a name counts as misspelt
LONGEST_LABEL = 60  # characters that are compared and quoted
QUOTED = 3  # labels of one sentence

# Without accents and in small letters, as :func:`plain` writes them. German words are found inside compounds.
_SIDES = {
    "left": "links linke linker linkes linken li gauche izquierda izquierdo izq",
    "right": "rechts rechte rechter rechtes rechten re droite droit derecha derecho der",
}
_JOINTS = {
    "wrist": "handgelenk poignet muneca",
    "elbow": "ellbogen ellenbogen coude codo",
    "shoulder": "schulter epaule hombro",
    "hip": "hufte huefte hanche cadera",
    "knee": "knie genou rodilla",
    "ankle": "knochel knoechel sprunggelenk fussgelenk cheville tobillo",
    "nose": "nase nez nariz",
    "eye": "auge oeil ojo",
    "ear": "ohr oreille oreja",
}
_SIDE_OF = {word: side for side, words in _SIDES.items() for word in words.split()}
_JOINT_OF = {word: joint for joint, words in _JOINTS.items() for word in words.split()}


def plain(text: str) -> str:
    """Return a text in ASCII as far as its letters have a base: ``"Hüfte, œil"`` -> ``"Hufte, oeil"``."""
    text = text.replace("ß", "ss").replace("œ", "oe").replace("Œ", "Oe").replace("ø", "o").replace("æ", "ae")
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def meant_joints(label: str, skeleton: Skeleton) -> list[str]:
    """Return the names of the joints that a label may have meant: none, one, or both sides of a pair.

    Example:
        >>> from clickpose.skeleton import COCO
        >>> meant_joints("Handgelenk links", COCO), meant_joints("left wirst", COCO), meant_joints("tail", COCO)
        (['left_wrist'], ['left_wrist'], [])
        >>> meant_joints("Schulter", COCO)
        ['left_shoulder', 'right_shoulder']
    """
    name = _in_english(plain(label[:LONGEST_LABEL]))
    wishes = [name] if name.startswith(("left_", "right_")) else [name, f"left_{name}", f"right_{name}"]
    found = [joint for wish in wishes if (joint := skeleton.match(wish)) is not None]
    if found:
        return [skeleton.names[joint] for joint in dict.fromkeys(found)]
    by_spelling = {normalize_joint_name(joint): joint for joint in skeleton.names}
    return [by_spelling[near] for near in difflib.get_close_matches(name, by_spelling, n=1, cutoff=NEAR)]


def _in_english(label: str) -> str:
    """Translate the words of a label and bring it into the form of joint names."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", label)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    return normalize_joint_name(" ".join(_SIDE_OF.get(word) or _joint_of(word) or word for word in words))


def _joint_of(word: str) -> str | None:
    """Return the joint that a word names; ``linksknie`` and ``kniegelenk`` do too."""
    if word in _JOINT_OF:
        return _JOINT_OF[word]
    for side in ("links", "rechts"):
        rest = word.removeprefix(side)
        if rest != word and rest in _JOINT_OF:
            return f"{_SIDE_OF[side]} {_JOINT_OF[rest]}"
    return _JOINT_OF.get(word.removesuffix("gelenk"))


def say_unknown(labels: Iterable[str], skeleton: Skeleton) -> str:
    """Say which labels name no joint and what they may have meant, in the middle of a sentence.

    The labels with a guess come first, since readers of an HTTP reason see its beginning.

    Example:
        >>> from clickpose.skeleton import COCO
        >>> say_unknown(["tail", "Knie rechts"], COCO)
        '“Knie rechts” (right_knee?), “tail”'
    """
    guesses = [(label, meant_joints(label, skeleton)) for label in labels]
    guesses.sort(key=lambda guess: not guess[1])
    said = [f"“{_short(label)}”" + (f" ({' or '.join(meant)}?)" if meant else "") for label, meant in guesses[:QUOTED]]
    more = len(guesses) - len(said)
    return ", ".join(said) + (f" and {more} more" if more else "")


def _short(label: str) -> str:
    label = " ".join(label.split())
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
