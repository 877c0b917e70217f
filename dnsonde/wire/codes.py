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
