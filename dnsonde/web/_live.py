"""What a page tells of work that is under way, and how a script learns when to load it anew."""

from collections.abc import Sequence
from hashlib import sha256

from dnsonde.clock import to_the_second
from dnsonde.lang.words import Words
from dnsonde.shelf import Entry, Standing
from dnsonde.web._site import Site


def again(site: Site, entries: Sequence[Entry]) -> str:
    """A text that changes when one of these does: then the page is to be loaded anew."""
    parts = []
    for entry in entries:
        stands, look = site.standing(entry), site.looks.of(entry.key)
        parts.append(f"{entry.key} {stands.state} {look and look.over}")
        if stands.state != "working":  # what is written all the time is told line by line instead
            parts.append(str(stands.as_of_us))
    return sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def lines(site: Site, entry: Entry, words: Words) -> dict[str, str]:
    """What is known of the work on a run or a lake, by name; nothing where nobody is at it."""
    stands, look = site.standing(entry), site.looks.of(entry.key)
    told: dict[str, str] = {}
    if entry.kind == "run" and stands.state in {"working", "begun"}:
        told = _run(stands, words)
    elif entry.kind == "lake" and stands.state == "working":
        told = _lake(stands, words)
    if look is not None and not look.over:
        name = words.named("detector", look.item)
        told["look"] = words(f"web.live.{look.phase}", name=name, done=look.done, total=look.total)
    return told


def share(stands: Standing) -> float | None:
    """How much of the first sweep is done, 0 to 1; None where that cannot be known."""
    if stands.state != "working" or stands.round is None or stands.round.number != 1 or not stands.targets:
        return None
    return min(stands.counts["probe"] / stands.targets, 1.0)


def _run(stands: Standing, words: Words) -> dict[str, str]:
    told = {}
    if stands.round is not None:
        now = stands.round
        told["round"] = words(
            "web.live.round", kind=words.named("web.kind", now.kind), number=now.number, of=now.of
        )
    counts = stands.counts
    told["sent"] = words("web.live.sent", sent=counts.get("sent", counts["probe"]))
    told["replies"] = words("web.live.replies", replies=counts["reply"])
    told["sightings"] = words("web.live.sightings", sightings=counts["sighting"])
    if stands.targets is not None:
        told["targets"] = words("web.live.targets", targets=stands.targets)
    told["as_of"] = words("web.live.as_of", when=to_the_second(stands.as_of_us))
    return told


def _lake(stands: Standing, words: Words) -> dict[str, str]:
    return {
        "arriving": words("web.live.arriving", files=len(stands.arriving)),
        "parts": words(
            "web.live.parts",
            parts=sum(parts for parts, _ in stands.arriving),
            octets=sum(octets for _, octets in stands.arriving),
        ),
        "inside": words("web.live.inside", files=stands.counts["account"]),
    }
