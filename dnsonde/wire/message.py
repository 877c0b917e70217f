"""What a decoded message looks like, and what one to be encoded is made of.

`MESSAGE` is one row a message, `RECORD` one row a resource record, `PROBE_NAME` one row a name that may be ours,
`REPLY_SPEC` and `RECORD_SPEC` are what `encode.encode_responses` writes. Positions are octets from the start
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
        ("qname_length", "u2"),  # octets of the first question's name, root label included; 0: none
        ("qname_labels", "u1"),  # labels without the root
        ("mixed_case", "b1"),  # the name has upper-case and lower-case letters (0x20)
        ("qtype", "u2"),
        ("qclass", "u2"),
        ("question_end", "u2"),  # end of the first question; 12 when there is none
        # EDNS (RFC 6891)
        ("edns_version", "i2"),  # -1: no OPT
        ("edns_size", "u2"),  # requestor's UDP payload size
        ("edns_flags", "u2"),  # DO is 0x8000
        ("ecs_family", "u1"),  # 0: none or malformed, 1: IPv4, 2: IPv6 (RFC 7871)
        ("ecs_source", "u1"),
        ("ecs_scope", "u1"),
        ("ecs", ADDRESS),  # bits beyond ecs_source cleared
        ("cookie_start", "u2"),  # position of the option's data; length 0: none (RFC 7873)
        ("cookie_length", "u1"),  # 255 where it is longer
        ("nsid_start", "u2"),
        ("nsid_length", "u2"),
        ("ede", "i4"),  # first extended error's INFO-CODE, -1: none (RFC 8914)
        # Answers at the asked name, CNAMEs and DNAMEs followed within the message
        ("address_count", "u2"),  # A and AAAA records among them
        ("address_net", "i8", (4,)),  # the first four
        ("address_host", "i8", (4,)),
        ("cname_count", "u2"),  # CNAMEs followed
        ("txt_start", "u2"),  # first TXT record's rdata, length 0: none
        ("txt_length", "u2"),
        ("authority_ns", "u2"),  # NS records at or above the asked name in the authority section
        ("ttl_min", "i8"),  # over the answer section, -1: none; the top bit set counts as 0 (RFC 2181, 8)
        ("answer_hash", "i8"),  # order-free hash of the answer section's types and data, 0: none
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

PROBE_NAME = np.dtype(
    [
        ("status", "u1"),  # wire.name.NameStatus
        ("run", "u8"),  # the run label's 40 bits (wire.name.run_text); 0 where there is none
        ("target", ADDRESS),
        ("attempt", "u1"),
        ("kind", "u1"),  # wire.name.Kind
        ("step", "u2"),  # octets asked for (size), steps left (chain)
        ("tag", "u8"),  # 48 bits
        ("mixed_case", "b1"),
        ("labels", "u1"),  # labels below the zone
    ]
)

REPLY_SPEC = np.dtype(
    [
        ("flags", "u2"),  # the header's second 16 bits without the rcode
        ("rcode", "u2"),  # 12 bits; those above 15 need `edns`
        ("first_record", "i4"),
        ("record_count", "u2"),
        ("limit", "u2"),  # octets, 0: the row's own; over it TC is set, and only question and OPT stay
        ("edns", "u1"),  # 1: add an OPT record
        ("edns_size", "u2"),
        ("cookie_start", "i4"),  # COOKIE option's data in the blob
        ("cookie_length", "u1"),  # 0: none
        ("nsid_start", "i4"),  # NSID option's data in the blob
        ("nsid_length", "u1"),  # 0: none
        ("ede", "u2"),  # extended error's INFO-CODE plus 1, 0: none
        ("drop", "u1"),  # 1: no response, its length becomes 0
    ]
)

RECORD_SPEC = np.dtype(
    [
        ("section", "u1"),  # 1 answer, 2 authority, 3 additional; in this order within a reply
        ("name_start", "i4"),  # -1: a pointer to the question's name; else a wire name in the blob
        ("name_length", "u2"),
        ("type", "u2"),
        ("class", "u2"),
        ("ttl", "u4"),
        ("rdata_start", "i4"),
        ("rdata_length", "u2"),
    ]
)
