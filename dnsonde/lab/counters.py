"""What a lab has done, in numbers."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What the lab has done so far, in datagrams."""

    probes: int = 0  # that reached the lab
    foreign: int = 0  # for an address that is not in the prefix
    malformed: int = 0  # no query, or none that a host would understand
    replies: int = 0  # given to the network
    asks: int = 0  # put to the authority
    answers: int = 0  # that came back from it and were expected
    strays: int = 0  # that were not expected
    retries: int = 0
    given_up: int = 0  # questions that stayed without an answer
    cached: int = 0  # questions answered from a cache
    limited: int = 0  # probes over a host's rate
