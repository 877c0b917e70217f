"""What each detector's findings mean in the words of others: ATT&CK, IntelMQ, XARF, and who the subject is."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["source", "victim", "asset", "campaign", "other"]


@dataclass(frozen=True, slots=True)
class Technique:
    """A technique of MITRE ATT&CK, or a sub-technique, whose name begins with that of its technique."""

    id: str
    name: str

    @property
    def parts(self) -> tuple[tuple[str, str], tuple[str, str] | None]:
        """The technique, and the sub-technique if it is one: their numbers and names."""
        number, dot, _ = self.id.partition(".")
        name, _, own = self.name.partition(": ")
        return (number, name), (self.id, own) if dot else None


@dataclass(frozen=True, slots=True)
class Nature:
    """What a kind of finding is.

    role: what the subject is to the threat. source: it attacks or scans; victim: it is attacked; asset: it is ours and
    has a weakness; campaign: a domain of whoever probes or steals; other: nothing that anybody may act on unseen.
    kind, identifier: IntelMQ's classification. report: category and type of XARF, None where there is nobody to write
    to. forgeable: it is of a source seen to send only what anybody can send under another's address (UDP, SYNs without
    a conversation), as the words for others then say.
    """

    role: Role
    kind: str
    identifier: str
    technique: Technique | None = None
    report: tuple[str, str] | None = None
    malware: str | None = None
    forgeable: bool = False


FORGEABLE = (
    "The address may be forged: nothing shows that who has it sent this, so ask before you blame or block it."
)

REFLECTION = Technique("T1498.002", "Network Denial of Service: Reflection Amplification")
FLOOD = Technique("T1498.001", "Network Denial of Service: Direct Network Flood")
BLOCKS = Technique("T1595.001", "Active Scanning: Scanning IP Blocks")
DNS_FACTS = Technique("T1590.002", "Gather Victim Network Information: DNS")
EXHAUSTION = Technique("T1499.003", "Endpoint Denial of Service: Application Exhaustion Flood")

SCAN = ("connection", "vulnerability_scan")  # of XARF
INFECTED = ("connection", "infected_host")

NATURES = {
    "open_resolver": Nature(
        "asset", "vulnerable-system", "dns-open-resolver", REFLECTION, ("vulnerability", "open_service")
    ),
    "transparent_forwarder": Nature(
        "asset",
        "vulnerable-system",
        "dns-transparent-forwarder",
        REFLECTION,
        ("vulnerability", "open_service"),
    ),
    "adjacent_spoofing": Nature("asset", "vulnerable-system", "missing-source-address-validation", DNS_FACTS),
    "probing_campaign": Nature("campaign", "scanner", "dns-probing-campaign", DNS_FACTS),
    "random_answers": Nature("campaign", "other", "random-dns-answers", DNS_FACTS),
    "dns_tunnel": Nature(
        "campaign", "ids-alert", "dns-tunnel", Technique("T1071.004", "Application Layer Protocol: DNS")
    ),
    "dns_sweep": Nature("source", "scanner", "dns-scan", BLOCKS, SCAN, forgeable=True),
    "service_scan": Nature("source", "scanner", "service-scan", BLOCKS, SCAN, forgeable=True),
    "mirai_scan": Nature(
        "source", "infected-system", "mirai", BLOCKS, INFECTED, malware="mirai", forgeable=True
    ),
    "botnet_c2": Nature(
        "source",
        "infected-system",
        "botnet-contact",
        Technique("T1071", "Application Layer Protocol"),
        INFECTED,
    ),
    "telnet_bruteforce": Nature(
        "source",
        "brute-force",
        "telnet-brute-force",
        Technique("T1110.001", "Brute Force: Password Guessing"),
        ("connection", "login_attack"),
    ),
    "amplification": Nature("victim", "ddos", "reflected-amplification", REFLECTION, ("connection", "ddos")),
    "flood": Nature("victim", "ddos", "flood", FLOOD),
    "carpet_flood": Nature("victim", "ddos", "carpet-flood", FLOOD),
    "backscatter": Nature("victim", "ddos", "backscatter", FLOOD),
    "random_subdomain": Nature("victim", "ddos", "random-subdomain", EXHAUSTION),
    "answer_injection": Nature(
        "victim", "other", "dns-answer-injection", Technique("T1557", "Adversary-in-the-Middle")
    ),
    "mx_probing": Nature("victim", "other", "mx-probing", DNS_FACTS),
}
UNKNOWN = Nature("other", "ids-alert", "unclassified")


def nature(detector: str) -> Nature:
    """What findings of that detector are; of one that is not listed nothing is claimed."""
    return NATURES.get(detector, UNKNOWN)
