"""Which networks can see first, and how one is named: ``movenet:thunder.onnx``, ``yolo:pose.onnx,score=0.4``

A name has up to three parts: the kind, what to load, and options, ``kind:what,option=value,…``. What is not one of the
kinds is a function of one's own, ``module:function``.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clickpose.extras import require_extra
from clickpose.first_pose.network import FirstPoseError, FirstPoseNetwork

OWN = "function"


@dataclass(frozen=True)
class Kind:
    """A kind of network that has an adapter.

    Attributes:
        module: of the adapter, whose ``load(what, *, device, threads, **options)`` returns the network.
        wants: what it loads, for messages and help.
        is_file: whether that is a file.
        extra: of the distribution, which brings its packages; None for what is always there.
        packages: that must be importable.
    """

    module: str
    wants: str
    is_file: bool = True
    extra: str | None = None
    packages: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    "results": Kind("clickpose.first_pose.results", "a COCO file of poses"),
    "movenet": Kind("clickpose.first_pose.movenet", "an ONNX file of MoveNet SinglePose"),
    "onnx": Kind("clickpose.first_pose.onnx_top_down", "a YAML file that describes a top-down ONNX network"),
    "yolo": Kind("clickpose.first_pose.yolo", "an ONNX file of a YOLO pose network"),
    "transformers": Kind(
        "clickpose.first_pose.transformers_pose",
        "a folder, or an id on the hub",
        is_file=False,
        extra="transformers",
        packages=("transformers",),
    ),
    "rtmlib": Kind(
        "clickpose.first_pose.rtmlib_pose",
        "Body, BodyWithFeet, Wholebody, RTMPose, ViTPose or RTMO",
        is_file=False,
        extra="rtmlib",
        packages=("rtmlib",),
    ),
    "torchvision": Kind(
        "clickpose.first_pose.torchvision_pose",
        "weights of torchvision's keypoint R-CNN",
        extra="torchvision",
        packages=("torchvision",),
    ),
    "rfdetr": Kind(
        "clickpose.first_pose.rfdetr_pose",
        "a checkpoint of RF-DETR with keypoints",
        extra="rfdetr",
        packages=("rfdetr",),
    ),
    "mediapipe": Kind(
        "clickpose.first_pose.mediapipe",
        "a .tflite or .task file of MediaPipe's pose landmarks",
        extra="mediapipe",
        packages=("ai_edge_litert",),
    ),
    OWN: Kind("clickpose.first_pose.own_function", "module:function or file.py:function", is_file=False),
}


@dataclass(frozen=True)
class FirstSpec:
    """A network of first poses as somebody named it.

    Attributes:
        kind: one of :data:`KINDS`.
        what: to load.
        options: of the kind, as text.
    """

    kind: str
    what: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> FirstSpec:
        """Read ``kind:what,option=value,…``.

        Raises:
            FirstPoseError: for another form.

        Example:
            >>> FirstSpec.parse("yolo:pose.onnx,score=0.4")
            FirstSpec(kind='yolo', what='pose.onnx', options={'score': '0.4'})
            >>> FirstSpec.parse("my_networks:look").kind
            'function'
        """
        kind, colon, rest = text.strip().partition(":")
        if not (kind and colon and rest):
            raise FirstPoseError(f"Expected first poses of kind:what, with a kind of {', '.join(KINDS)}, got {text!r}")
        what, *options = re.split(r",(?=[a-z_]+=)", rest if kind in KINDS else text.strip())
        pairs = dict(option.split("=", 1) for option in options)
        return cls(kind if kind in KINDS else OWN, what, pairs)

    @property
    def is_merged(self) -> bool:
        """Whether the poses are merged with lite's own, as the option ``merge=yes`` asks for.

        Raises:
            FirstPoseError: for another answer than yes or no.
        """
        said = self.options.get("merge", "no")
        if said not in ("yes", "no"):
            raise FirstPoseError(f"Expected merge=yes or merge=no of first poses, got {said!r}")
        return said == "yes"

    def check(self) -> None:
        """Check what can be said before anything is loaded: the packages are there, and the file.

        Raises:
            FirstPoseError: if they are not; says what is missing.
        """
        self.is_merged  # noqa: B018  # refuses what is no answer
        kind = KINDS[self.kind]
        if kind.extra is not None:
            try:
                require_extra(kind.extra, *kind.packages)
            except ValueError as error:
                raise FirstPoseError(f"{error} (first poses of {self.kind})") from None
        if kind.is_file and not Path(self.what).is_file():
            raise FirstPoseError(f"Expected {kind.wants} at {self.what}, found no such file")


def load_first(first: str | FirstPoseNetwork | Callable, device: str = "cpu", threads: int | None = None) -> (
    FirstPoseNetwork
):  # fmt: skip
    """Load a network of first poses.

    Args:
        first: its name, ``kind:what,option=value,…``, see :data:`KINDS`; a network; or a function, see
            :mod:`clickpose.first_pose.own_function`.
        device: a torch device, for those that run on one.
        threads: CPU threads; None for the libraries' own choice.

    Raises:
        FirstPoseError: for another kind, a package or file that is missing, or an option that the kind does not have.
    """
    if isinstance(first, FirstPoseNetwork):
        return first
    if not isinstance(first, str):
        from clickpose.first_pose.own_function import OwnFunction

        return OwnFunction(first)
    spec = FirstSpec.parse(first)
    spec.check()
    load = importlib.import_module(KINDS[spec.kind].module).load
    options = dict(spec.options)
    name = options.pop("name", None)
    options.pop("merge", None)
    known = [p.name for p in inspect.signature(load).parameters.values() if p.kind is p.KEYWORD_ONLY]
    known = [option for option in known if option not in ("device", "threads")]
    if unknown := [option for option in options if option not in known]:
        raise FirstPoseError(
            f"Expected options of {spec.kind} among {', '.join([*known, 'merge', 'name'])}, got {', '.join(unknown)}"
        )
    network: FirstPoseNetwork = load(spec.what, device=device, threads=threads, **options)
    if name is not None:
        network.name = name
    if not re.fullmatch(r"[\w.-]+", network.name):
        network.name = re.sub(r"[^\w.-]+", "-", network.name).strip("-") or spec.kind
    return network


def is_merged(first: str | FirstPoseNetwork | Callable) -> bool:
    """Tell whether first poses are merged with lite's own; see :attr:`FirstSpec.is_merged`.

    Raises:
        FirstPoseError: for another answer than yes or no.
    """
    return isinstance(first, str) and FirstSpec.parse(first).is_merged


def number_of(option: str, text: str) -> float:
    """Read the number of an option.

    Raises:
        FirstPoseError: if it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise FirstPoseError(f"Expected {option} to be a number, got {text!r}") from None
