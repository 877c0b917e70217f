"""The numbers of the wire: types, classes, codes and flags by their IANA names, and our own statuses."""

from enum import IntEnum, IntFlag


class Status(IntEnum):
    """What decoding one message came to; every non-zero value is a malformed message, counted."""

    OK = 0
    SHORT_HEADER = 1  # fewer than 12 octets (RFC 1035, 4.1.1)
    TRUNCATED = 2  # a name, a record or rdata runs past the end
    BAD_LABEL = 3  # label type 0b01 or 0b10 (RFC 6891, 5)
    BAD_POINTER = 4  # a compression pointer that does not point backwards (RFC 1035, 4.1.4)
    NAME_TOO_LONG = 5  # more than 255 octets (RFC 1035, 2.3.4)
    BAD_RDATA = 6  # rdata whose length contradicts its type
    BAD_EDNS = 7  # two OPT records, or options that overrun (RFC 6891, 6.1.1)
    TRAILING = 8  # octets after the last record


class Type(IntEnum):
    """RR types that this house parses or asks for (IANA DNS parameters)."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    MX = 15
    TXT = 16
    AAAA = 28
    DNAME = 39
    OPT = 41
    AXFR = 252
    ANY = 255


class Class(IntEnum):
    """DNS classes."""

    IN = 1
    CH = 3
    ANY = 255


class Rcode(IntEnum):
    """Response codes, the extended ones included (RFC 6895, 2.3)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    NOTAUTH = 9
    BADVERS = 16


class Flag(IntFlag):
    """Bits of the header's second 16 (RFC 1035, 4.1.1; RFC 4035, 3)."""

    QR = 0x8000
    AA = 0x0400
    TC = 0x0200
    RD = 0x0100
    RA = 0x0080
    AD = 0x0020
    CD = 0x0010


class EdnsOption(IntEnum):
    """EDNS option codes (IANA)."""

    NSID = 3
    ECS = 8
    COOKIE = 10
    EDE = 15


class Ede(IntEnum):
    """Extended errors that we send (RFC 8914, 4; IANA)."""

    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21
    RATE_LIMITED = 31


class LineStatus(IntEnum):
    """What a line of a list of addresses is."""

    BLANK = 0  # nothing, or only a comment
    FINE = 1
    GARBAGE = 2
    HOST_BITS = 3  # a prefix with bits set behind its length


class PacketStatus(IntEnum):
    """What decoding one packet came to: below 16 not ours to parse, from 16 malformed; each is counted."""

    PARSED = 0
    UNKNOWN_LINK = 1  # a link type that is not read here
    NOT_IP = 2  # ARP, LLDP, spanning tree ...
    ENCRYPTED = 3  # 802.11 protected frames
    CUT = 4  # the capture kept fewer octets than its headers need (snap length)
    SHORT_LINK = 16  # ends within the link-layer header
    BAD_VERSION = 17  # neither 4 nor 6 where an IP version belongs
    SHORT_IP = 18  # ends within the IP header, or a header length under 20 octets (RFC 791, 3.1)
    BAD_LENGTH = 19  # a total length shorter than the header (RFC 791, 3.1)
    BAD_EXTENSION = 20  # an IPv6 extension header that overruns (RFC 8200, 4)
    SHORT_TRANSPORT = 21  # ends within the transport header
    BAD_TRANSPORT = 22  # UDP length under 8 (RFC 768), TCP data offset under 5 or past the end
    BAD_FRAGMENT = 23  # reaches past 65,535 octets, or not a multiple of 8 before the last (RFC 791, 3.2)
    OVERLAP = 24  # fragments that overlap: the whole datagram is refused (RFC 5722)
    UNFINISHED = 25  # fragments whose datagram was never completed
