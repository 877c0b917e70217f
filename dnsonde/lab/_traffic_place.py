"""Who is who in labelled traffic: documentation, benchmarking and private addresses, and the class that nobody has."""

from random import Random

from dnsonde.lab._traffic_tape import packed

RESOLVER, RESOLVER6 = packed("10.20.0.53"), packed("2001:db8:20::53")
AUTHORITY, MAIL, WEB, SHOP = (packed(f"192.0.2.{last}") for last in (53, 25, 80, 81))
MONITOR, SCANNER = packed("10.20.0.9"), packed("10.20.0.10")

WORDS = (
    "alder", "birch", "cedar", "daisy", "elder", "fern", "gorse", "hazel", "iris", "juniper", "kale", "larch", "maple",
    "nettle", "oak", "poplar", "quince", "rowan", "sorrel", "thyme", "umber", "violet", "willow", "yarrow",
)  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def client(number: int) -> bytes:
    """A host at home that people use."""
    return bytes([10, 20, 1 + number // 200 % 60, 10 + number % 200])


def client6(number: int) -> bytes:
    """The same over IPv6."""
    return packed(f"2001:db8:20:1::{number + 16:x}")


def server(number: int) -> bytes:
    """A public host of ours: 192.0.2.100 to .239."""
    return bytes([192, 0, 2, 100 + number % 140])


def device(number: int) -> bytes:
    """A router, camera or recorder at home, in 10.20.100.0 and on."""
    return bytes([10, 20, 100 + number // 250 % 100, 1 + number % 250])


def outside(number: int) -> bytes:
    """One of 500 outside addresses of the documentation prefixes."""
    number %= 500
    return bytes([198, 51, 100, 2 + number]) if number < 250 else bytes([203, 0, 113, number - 248])


def outside6(number: int) -> bytes:
    """An outside IPv6 address, each in a network of its own."""
    return packed(f"2001:db8:f{number >> 8 & 0xFF:03x}:{number & 0xFF:x}::53")


def far(number: int) -> bytes:
    """One of 131,072 outside addresses (RFC 2544), scattered over 198.18.0.0/15."""
    return (0xC612_0000 | number * 40_503 & 0x1_FFFF).to_bytes(4)


def nobody(rand: Random) -> bytes:
    """An address that a forged source may claim: class E, which nobody has."""
    return (0xF000_0000 | rand.getrandbits(28) & 0x0FFF_FFFE).to_bytes(4)


def letters(rand: Random, count: int, alphabet: str = LETTERS) -> str:
    """Random characters."""
    return "".join(rand.choices(alphabet, k=count))


def site(rand: Random, most: int = 400) -> str:
    """A name that people ask for."""
    number = int(most * rand.random() ** 2)
    return f"www.{WORDS[number % len(WORDS)]}-{number}.example"
