"""What a decoded message looks like: the record types that kernels fill and rooms read.

`MESSAGE` is one row a message, `RECORD` one row a resource record. Positions are octets from the start
of that message, never addresses into the buffer.
"""

import numpy as np

from dnsonde.wire.batch import ADDRESS

MESSAGE = np.dtype(
    [
        ("status", "u1"),  # wire.codes.Status
        ("id", "u2"),
        ("flags", "u2"),  # the header's second 16 bits, opcode and rcode included
        ("opcode", "u1"),
        ("rcode", "u2"),  # 12 bits: extended by EDNS when there is an OPT (RFC 6891, 6.1.3)
        ("qdcount", "u2"),
        ("ancount", "u2"),
        ("nscount", "u2"),
        ("arcount", "u2"),
        ("qname_length", "u2"),  # octets of the first question's name, uncompressed, root label included; 0: none
        ("qname_labels", "u1"),  # labels without the root
        ("qtype", "u2"),
        ("qclass", "u2"),
        ("question_end", "u2"),  # 12 when there is no question
        # EDNS (RFC 6891)
        ("edns_version", "i2"),  # -1: no OPT
        ("edns_size", "u2"),  # requestor's UDP payload size
        ("edns_flags", "u2"),  # DO is 0x8000
        ("ecs_family", "u1"),  # 0: none, 1: IPv4, 2: IPv6 (RFC 7871)
        ("ecs_source", "u1"),
        ("ecs_scope", "u1"),
        ("ecs", ADDRESS),
        ("cookie_start", "u2"),  # position of the option's data; length 0: none (RFC 7873)
        ("cookie_length", "u1"),
        ("nsid_start", "u2"),
        ("nsid_length", "u2"),
        ("ede", "i4"),  # first extended error's INFO-CODE, -1: none (RFC 8914)
        # Answers at the asked name, CNAMEs and DNAMEs followed within the message
        ("address_count", "u2"),  # A and AAAA records among them
        ("address_net", "i8", (4,)),  # the first four
        ("address_host", "i8", (4,)),
        ("cname_count", "u2"),
        ("txt_start", "u2"),  # first TXT record's rdata, length 0: none
        ("txt_length", "u2"),
        ("ttl_min", "i8"),  # over the answer section, -1: none
    ]
)

RECORD = np.dtype(
    [
        ("message", "i4"),  # row of its message
        ("section", "u1"),  # 1 answer, 2 authority, 3 additional
        ("name_start", "u2"),
        ("type", "u2"),
        ("class", "u2"),
        ("ttl", "u4"),
        ("rdata_start", "u2"),
        ("rdata_length", "u2"),
        ("address", ADDRESS),  # A and AAAA only
    ]
)
