"""Whether a new version may go live: what it must reach, and what is said of it. Numbers in, sentences out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from clickpose.metrics.bootstrap import Comparison, Interval

CLICKS, AP = "NoC90", "AP"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What a version must reach.

    Attributes:
        fewest_persons: labelled people who were held out, below which nothing can be said and nothing goes live.
        worst_known: how many more clicks, as a share, it may take on photos of the kind that the network knew.
        least_agreement: where nobody has labelled such photos: mean OKS of its poses against those of the network that
            was shipped, on the few photos that come with it.
    """

    fewest_persons: int = 10
    worst_known: float = 0.01
    least_agreement: float = 0.9


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came out.

    Attributes:
        passed: whether it may go live.
        reasons: sentences, those against it first.
        figures: by kind of photos and name: before, after and change, each as value, low and high.
    """

    passed: bool
    reasons: tuple[str, ...]
    figures: Mapping[str, Mapping[str, Mapping[str, list[float]]]] = field(default_factory=dict)

    def as_facts(self) -> dict:
        """Return it as JSON can hold it."""
        return asdict(self)


def judge(
    own: Mapping[str, Comparison] | None,
    persons: int,
    known: Mapping[str, Comparison] | None = None,
    agreement: float | None = None,
    bar: Bar | None = None,
) -> Verdict:
    """Decide on a version.

    It must not be worse on the team's own people who were held out: no more clicks to OKS .90 in the mean, nor an
    average precision that is lower beyond chance (the paired interval of the change lies below 0). And not on photos of
    the kind that the network knew before: clicks by at most a stated share where such people are labelled, else
    agreement with the network that was shipped.

    Args:
        own: figures of the held-out people, before and after; None for too few.
        persons: how many they are.
        known: the same of people of the kind that was known.
        agreement: mean OKS against the shipped network's poses; None where ``known`` is there, or neither.
        bar: what to reach.
    """
    bar = bar or Bar()
    against: list[str] = []
    told: list[str] = []
    if own is None or persons < bar.fewest_persons:
        against.append(f"only {persons} labelled persons were held out, {bar.fewest_persons} are needed to tell")
    else:
        (against if own[CLICKS].change.value > 0 else told).append(
            f"clicks on held-out persons: {_spoken(own[CLICKS])}"
        )
        worse = own[AP].change.high < 0
        (against if worse else told).append(f"average precision on held-out persons: {_spoken(own[AP], 100)}")
    if known is not None:
        share = known[CLICKS].change.value / max(known[CLICKS].before.value, 1e-9)
        (against if share > bar.worst_known else told).append(
            f"clicks on photos of the kind it knew: {_spoken(known[CLICKS])}, {share:+.1%} (at most "
            f"{bar.worst_known:+.0%})"
        )
    elif agreement is not None:
        (against if agreement < bar.least_agreement else told).append(
            f"agreement with the shipped network on the photos that come with it: OKS {agreement:.3f} (at least "
            f"{bar.least_agreement}); ten people tell little, labelled ordinary photos more"
        )
    figures = {kind: _as_lists(found) for kind, found in (("held out", own), ("known", known)) if found is not None}
    return Verdict(passed=not against, reasons=(*against, *told), figures=figures)


def _spoken(comparison: Comparison, times: float = 1.0) -> str:
    before, after, change = comparison.before, comparison.after, comparison.change
    return (
        f"{times * before.value:.2f} -> {times * after.value:.2f} ({times * change.value:+.2f}, "
        f"95 % from {times * change.low:+.2f} to {times * change.high:+.2f})"
    )


def _as_lists(found: Mapping[str, Comparison]) -> dict[str, dict[str, list[float]]]:
    def one(interval: Interval) -> list[float]:
        return [round(float(number), 5) for number in (interval.value, interval.low, interval.high)]

    return {
        name: {"before": one(each.before), "after": one(each.after), "change": one(each.change)}
        for name, each in found.items()
    }
