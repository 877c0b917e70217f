"""Kernel: the addresses and times that strangers write into names.

One pass over a name splits it into runs of digits and of hex or base-32 letters; every window of a run that could be an
address is held against the packet's own addresses. Candidates compete: nearer relation first, then longer, then
earlier; what overlaps a winner is dropped.
"""

import numpy as np

from dnsonde.wire._kernels.jit import borrowed, helper, kernel

# How it is written (wire.embedded.KINDS has the names).
DOTTED, DASHED, ZERO_PADDED, HEX8, HEX32, DECIMAL, BASE32, OCTETS = range(1, 9)
REVERSED = 16  # added to the kind: octets or nibbles in reverse order

# What it is to the packet.
OTHER, NEIGHBOUR, SOURCE, DESTINATION = range(1, 5)

# How a time is written.
EPOCH_S, EPOCH_MS, EPOCH_US, EPOCH_HEX, EPOCH_HEX_US, DATE, DATETIME = range(1, 8)

DAY_US = 86_400_000_000
EPOCH_NEAR_US = 366 * DAY_US  # a ten-digit number falls here by chance once in 160
HEX_NEAR_US = 30 * DAY_US  # eight hex digits: once in 830
DATE_NEAR_US = 5 * 366 * DAY_US

CANDIDATES = 32
NUMBERS = 128


@helper
def v4_of(net, host):
    """The IPv4 address in a mapped pair, or -1."""
    return host & 0xFFFFFFFF if net == 0 and host >> 32 == 0xFFFF else -1


@helper
def swap32(value):
    """The four octets in reverse order."""
    return (value & 0xFF) << 24 | (value & 0xFF00) << 8 | (value >> 8) & 0xFF00 | value >> 24


@helper
def relation4(value, src, dst):
    """What an IPv4 address is to a packet from `src` to `dst` (each -1 when not IPv4)."""
    if value == dst:
        return DESTINATION
    if value == src:
        return SOURCE
    if (dst >= 0 and value >> 8 == dst >> 8) or (src >= 0 and value >> 8 == src >> 8):
        return NEIGHBOUR
    return OTHER


@helper
def relation6(net, host, src, dst):
    """What an IPv6 address is to a packet; neighbours share a /48."""
    if net == dst.net and host == dst.host:
        return DESTINATION
    if net == src.net and host == src.host:
        return SOURCE
    if net >> 16 != 0 and (net >> 16 == dst.net >> 16 or net >> 16 == src.net >> 16):
        return NEIGHBOUR
    return OTHER


@helper
def propose(found, count, kind, relation, start, stop, net, host):
    """Add a candidate while there is room; returns how many there are."""
    if count < CANDIDATES:
        one = found[count]
        one.kind = kind
        one.relation = relation
        one.start = start
        one.stop = stop
        one.net = net
        one.host = host
        count += 1
    return count


@helper
def propose4(found, count, kind, value, src, dst, start, stop, other):
    """Hold one IPv4 value against the packet, read forwards and backwards.

    `other`: whether a stranger counts too; 0 no, 1 read forwards, 2 backwards.
    """
    forward = relation4(value, src, dst)
    swapped = swap32(value)
    backward = relation4(swapped, src, dst)
    if backward > forward or (other == 2 and forward <= OTHER):
        return propose(found, count, kind + REVERSED, backward, start, stop, 0, 0xFFFF00000000 | swapped)
    if forward > OTHER or other == 1:
        return propose(found, count, kind, forward, start, stop, 0, 0xFFFF00000000 | value)
    return count


@helper
def date_us(year, month, day):
    """Microseconds of a civil date since 1970, or -1 when there is no such day (Howard Hinnant's algorithm)."""
    if not (1970 <= year <= 2105 and 1 <= month <= 12 and 1 <= day <= 31):
        return -1
    if day == 31 and (month == 4 or month == 6 or month == 9 or month == 11):
        return -1
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month == 2 and day > (29 if leap else 28):
        return -1
    y = year - 1 if month <= 2 else year
    shifted = month + 9 if month <= 2 else month - 3
    of_era = y % 400
    of_year = (153 * shifted + 2) // 5 + day - 1
    days = (y // 400) * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    return days * DAY_US


@helper
def number(data, start, stop):
    """The decimal number in data[start:stop], all digits, at most 18 of them."""
    value = 0
    for k in range(start, stop):
        value = value * 10 + (data[k] - 48)
    return value


@helper
def hex_digit(c):
    """0 to 15, or -1."""
    if 48 <= c <= 57:
        return c - 48
    if 97 <= c <= 102:
        return c - 87
    return -1


@helper
def note_time(row, kind, time, now, near, start, stop):
    """Keep a time that lies within `near` of the packet's, the first one of a name; returns whether it fits."""
    if time <= 0 or abs(time - now) > near:
        return False
    if row.time_kind == 0:
        row.time_kind = kind
        row.time_us = time
        row.time_start = start
        row.time_stop = stop
    return True


@helper
def decimal_time(data, begin, start, stop, now, row):
    """A run of digits as a time: epoch in s, ms, us; YYYYMMDD, with a counter digit; YYYYMMDDHHMMSS."""
    size = stop - start
    at = begin + start
    if size == 10:
        return note_time(row, EPOCH_S, number(data, at, at + 10) * 1_000_000, now, EPOCH_NEAR_US, start, stop)
    if size == 13:
        return note_time(row, EPOCH_MS, number(data, at, at + 13) * 1000, now, EPOCH_NEAR_US, start, stop)
    if size == 16:
        return note_time(row, EPOCH_US, number(data, at, at + 16), now, EPOCH_NEAR_US, start, stop)
    if size in (8, 9, 14):
        day = date_us(number(data, at, at + 4), number(data, at + 4, at + 6), number(data, at + 6, at + 8))
        if day < 0:
            return False
        if size < 14:
            return note_time(row, DATE, day, now, DATE_NEAR_US, start, start + 8)
        hour, minute = number(data, at + 8, at + 10), number(data, at + 10, at + 12)
        second = number(data, at + 12, at + 14)
        if hour < 24 and minute < 60 and second < 61:
            time = day + (hour * 3600 + minute * 60 + second) * 1_000_000
            return note_time(row, DATETIME, time, now, DATE_NEAR_US, start, stop)
    return False


@helper
def decimals(data, begin, size, src, dst, now, numbers, found, count, row):
    """Runs of digits: times, uint32, twelve padded digits, and windows of four octets."""
    runs = 0
    at = 0
    while at < size:
        c = data[begin + at]
        if not 48 <= c <= 57:
            at += 1
            continue
        start = at
        while at < size and 48 <= data[begin + at] <= 57:
            at += 1
        width = at - start
        # A digit run inside a longer hex or base-32 word is no number of its own for times and uint32.
        alone = (start == 0 or not 97 <= data[begin + start - 1] <= 122) and (
            at == size or not 97 <= data[begin + at] <= 122
        )
        if alone and width >= 8:
            timed = decimal_time(data, begin, start, at, now, row)
            if width <= 10:
                value = number(data, begin + start, begin + at)
                if value <= 0xFFFFFFFF:
                    count = propose4(found, count, DECIMAL, value, src, dst, start, at, 0)
            elif width == 12 and not timed:
                value = 0
                for k in range(4):
                    octet = number(data, begin + start + 3 * k, begin + start + 3 * k + 3)
                    value = value << 8 | octet if octet < 256 and value >= 0 else -1
                if value >= 0:
                    count = propose4(found, count, ZERO_PADDED, value, src, dst, start, at, 0)
        if runs < NUMBERS:
            one = numbers[runs]
            one.start = start
            one.stop = at
            one.value = number(data, begin + start, begin + at) if width <= 4 else 10_000
            joined = runs > 0 and numbers[runs - 1].stop == start - 1
            sep = data[begin + start - 1] if start > 0 else 0
            one.joined = joined and (sep == 45 or sep == 46 or sep == 95)
            one.sep = sep
            runs += 1
    # Chains of numbers with one separator between; every window of four octets.
    first = 0
    while first < runs:
        last = first + 1
        while last < runs and numbers[last].joined:
            last += 1
        chain = last - first
        if chain == 3 and numbers[first].stop - numbers[first].start == 4:
            day = date_us(numbers[first].value, numbers[first + 1].value, numbers[first + 2].value)
            if day >= 0:
                note_time(row, DATE, day, now, DATE_NEAR_US, numbers[first].start, numbers[last - 1].stop)
        for k in range(first, last - 3):
            value = 0
            padded = False
            width = numbers[k].stop - numbers[k].start
            for j in range(k, k + 4):
                octet = numbers[j].value
                value = value << 8 | octet if octet < 256 and value >= 0 else -1
                if numbers[j].stop - numbers[j].start != width:
                    width = 0
                if numbers[j].stop - numbers[j].start > 1 and data[begin + numbers[j].start] == 48:
                    padded = True
            if value < 0 or (padded and width == 0):
                continue
            # Strangers: a chain of just four, or one or two addresses behind a counter.
            other = 0
            if chain == 4 or (chain == 5 and k == first + 1):
                # Of unicast addresses the first octet is neither 0 nor 224 or more.
                other = 1 if 0 < value >> 24 < 224 else (2 if 0 < value & 0xFF < 224 else 0)
            elif chain in (8, 9) and (last - k) % 4 == 0:
                other = 1
            kind = DOTTED if numbers[k + 1].sep == 46 else DASHED
            if padded:
                kind = ZERO_PADDED
            elif chain > 4:
                kind = OCTETS
            count = propose4(
                found, count, kind, value, src, dst, numbers[k].start, numbers[k + 3].stop, other
            )
        first = last
    return count


@helper
def hex_windows(data, at, size, start, source, destination, src, dst, found, count):
    """Every window of 8 and of 32 hex digits in a word of `size` letters at data[at], text position `start`."""
    digits = 0
    net = np.uint64(0)
    host = np.uint64(0)
    for k in range(size):
        h = hex_digit(np.int64(data[at + k]))
        if h < 0:
            digits = 0
            continue
        digits += 1
        net = net << np.uint64(4) | host >> np.uint64(60)
        host = host << np.uint64(4) | np.uint64(h)
        stop = start + k + 1
        if digits >= 8:
            value = np.int64(host & np.uint64(0xFFFFFFFF))
            count = propose4(found, count, HEX8, value, src, dst, stop - 8, stop, 0)
        if digits >= 32:
            related = relation6(np.int64(net), np.int64(host), source, destination)
            if related > OTHER:
                count = propose(found, count, HEX32, related, stop - 32, stop, np.int64(net), np.int64(host))
    return count


@helper
def whole_hex(data, at, size, start, now, row, found, count):
    """A word of just 8, 16 or 32 hex digits, not all decimal: a time, or a stranger's address."""
    net = np.uint64(0)
    host = np.uint64(0)
    decimal = True
    for k in range(size):
        c = np.int64(data[at + k])
        h = hex_digit(c)
        if h < 0:
            return count
        decimal = decimal and c <= 57
        net = net << np.uint64(4) | host >> np.uint64(60)
        host = host << np.uint64(4) | np.uint64(h)
    if size == 8 and not decimal:
        value = np.int64(host)
        if not note_time(row, EPOCH_HEX, value * 1_000_000, now, HEX_NEAR_US, start, start + 8):
            count = propose(found, count, HEX8, OTHER, start, start + 8, 0, 0xFFFF00000000 | value)
    elif size == 16 and host < np.uint64(1 << 62):
        note_time(row, EPOCH_HEX_US, np.int64(host), now, HEX_NEAR_US, start, start + 16)
    elif size == 32 and net >> np.uint64(60) == 2:  # global unicast, RFC 4291
        count = propose(found, count, HEX32, OTHER, start, start + 32, np.int64(net), np.int64(host))
    return count


@helper
def base32_digit(c, extended):
    """0 to 31, or -1: a letter or digit in RFC 4648's alphabet of section 6, or with `extended` of 7."""
    if extended:
        return c - 48 if c <= 57 else (c - 87 if c <= 118 else -1)
    if c >= 97:
        return c - 97
    return c - 24 if 50 <= c <= 55 else -1


@helper
def base32_windows(data, at, size, start, extended, src, dst, found, count):
    """Every window of 7 base-32 digits (RFC 4648, 6; `extended`: 7) that is one of the packet's IPv4 addresses."""
    digits = 0
    value = 0
    for k in range(size):
        d = base32_digit(np.int64(data[at + k]), extended)
        if d < 0:
            digits = 0
            continue
        digits += 1
        value = (value << 5 | d) & 0x7FFFFFFFF
        if digits >= 7 and value & 7 == 0 and (value >> 3 == dst or value >> 3 == src):
            count = propose4(found, count, BASE32, value >> 3, src, dst, start + k - 6, start + k + 1, 0)
    return count


@helper
def base32_windows6(data, at, size, start, extended, source, destination, found, count):
    """Every window of 26 base-32 digits that is one of the packet's IPv6 addresses."""
    digits = 0
    over = np.uint64(0)
    high = np.uint64(0)
    low = np.uint64(0)
    for k in range(size):
        d = base32_digit(np.int64(data[at + k]), extended)
        if d < 0:
            digits = 0
            continue
        digits += 1
        over = (over << np.uint64(5) | high >> np.uint64(59)) & np.uint64(3)
        high = high << np.uint64(5) | low >> np.uint64(59)
        low = low << np.uint64(5) | np.uint64(d)
        if digits >= 26 and low & np.uint64(3) == 0:
            net = np.int64(over << np.uint64(62) | high >> np.uint64(2))
            host = np.int64(high << np.uint64(62) | low >> np.uint64(2))
            related = relation6(net, host, source, destination)
            if related > NEIGHBOUR:
                count = propose(found, count, BASE32, related, start + k - 25, start + k + 1, net, host)
    return count


@helper
def words(data, begin, size, source, destination, src, dst, now, found, count, row):
    """Runs of letters and digits: hex and base-32 windows, hex times."""
    at = 0
    while at < size:
        start = at
        while at < size:
            c = data[begin + at]
            if not (48 <= c <= 57 or 97 <= c <= 122):
                break
            at += 1
        width = at - start
        here = begin + start
        if width >= 7 and (src >= 0 or dst >= 0):
            count = base32_windows(data, here, width, start, False, src, dst, found, count)
            count = base32_windows(data, here, width, start, True, src, dst, found, count)
        if width >= 8:
            count = hex_windows(data, here, width, start, source, destination, src, dst, found, count)
            if width in (8, 16, 32):
                count = whole_hex(data, here, width, start, now, row, found, count)
        if width >= 26 and src < 0 and dst < 0:
            count = base32_windows6(data, here, width, start, False, source, destination, found, count)
            count = base32_windows6(data, here, width, start, True, source, destination, found, count)
        if at == start:
            at += 1
    return count


@helper
def nibbles(data, begin, size, source, destination, found, count):
    """32 single hex digits with dots between, in reverse order (RFC 3596, 2.5) or forwards."""
    for start in range(size - 62):
        if start > 0 and data[begin + start - 1] != 46:
            continue
        forward_net = np.uint64(0)
        forward = np.uint64(0)
        back_net = np.uint64(0)
        back = np.uint64(0)
        fits = True
        for k in range(32):
            h = hex_digit(np.int64(data[begin + start + 2 * k]))
            if h < 0 or (k < 31 and data[begin + start + 2 * k + 1] != 46):
                fits = False
                break
            forward_net = forward_net << np.uint64(4) | forward >> np.uint64(60)
            forward = forward << np.uint64(4) | np.uint64(h)
            back = back >> np.uint64(4) | (back_net & np.uint64(15)) << np.uint64(60)
            back_net = back_net >> np.uint64(4) | np.uint64(h) << np.uint64(60)
        if not fits or (start + 63 < size and data[begin + start + 63] != 46):
            continue
        ahead = relation6(np.int64(forward_net), np.int64(forward), source, destination)
        behind = relation6(np.int64(back_net), np.int64(back), source, destination)
        if ahead > behind:
            count = propose(
                found, count, DOTTED, ahead, start, start + 63, np.int64(forward_net), np.int64(forward)
            )
        else:
            count = propose(
                found, count, DOTTED + REVERSED, behind, start, start + 63, np.int64(back_net), np.int64(back)
            )
    return count


@kernel
def may_embed(data, offset, length, out):
    """Whether each name could carry an address or a time, by its runs of digits and letters (`out` b1, (n,)).

    It may say so of a name that `embedded` finds nothing in, never the other way about.
    """
    data = borrowed(data)
    for i in range(len(length)):
        begin = offset[i]
        size = length[i]
        runs = 0  # of digits
        letters = 0  # and digits, in a row
        hexes = 0
        plain = 0  # base-32 digits in a row, by either alphabet
        extended = 0
        fits = size >= 63  # for nibbles
        before = False
        for k in range(begin, begin + size):
            c = data[k]
            digit = 48 <= c <= 57
            small = 97 <= c <= 122
            if digit and not before:
                runs += 1
            before = digit
            letters = letters + 1 if digit or small else 0
            hexes = hexes + 1 if digit or 97 <= c <= 102 else 0
            plain = plain + 1 if small or 50 <= c <= 55 else 0
            extended = extended + 1 if digit or 97 <= c <= 118 else 0
            # 7 base-32 digits hold 35 bits, of which an address leaves the last three zero; 26 hold 130, for IPv6.
            if plain >= 7:
                value = c - 97 if small else c - 24
                fits |= value & 7 == 0
            if extended >= 7:
                value = c - 48 if digit else c - 87
                fits |= value & 7 == 0
            fits |= hexes >= 8 or plain >= 26 or extended >= 26
        out[i] = fits or runs >= 3


@kernel
def embedded(data, offset, length, source, destination, time, numbers, found, out):
    """Fill `out` (dtype wire.embedded.EMBEDDED) for each text name.

    data u1, offset i8 (n,), length i4 (n,): the part of each name to search, lower case.
    source, destination: ADDRESS (n,); time i8 (n,): the packet's, microseconds.
    Scratch: numbers (dtype NUMBER, (NUMBERS,)), found (dtype CANDIDATE, (CANDIDATES,)).
    """
    data, numbers, found = borrowed(data), borrowed(numbers), borrowed(found)
    for i in range(len(length)):
        row = out[i]
        begin = offset[i]
        size = length[i]
        src = v4_of(source[i].net, source[i].host)
        dst = v4_of(destination[i].net, destination[i].host)
        count = decimals(data, begin, size, src, dst, time[i], numbers, found, 0, row)
        count = words(data, begin, size, source[i], destination[i], src, dst, time[i], found, count, row)
        if size >= 63:
            count = nibbles(data, begin, size, source[i], destination[i], found, count)
        kept = 0
        while kept < 4:
            best = -1
            for k in range(count):
                one = found[k]
                if one.kind == 0:
                    continue
                if best >= 0:
                    top = found[best]
                    if one.relation < top.relation:
                        continue
                    if one.relation == top.relation and one.stop - one.start <= top.stop - top.start:
                        continue
                best = k
            if best < 0:
                break
            top = found[best]
            start, stop = top.start, top.stop
            row.kind[kept] = top.kind
            row.relation[kept] = top.relation
            row.start[kept] = start
            row.stop[kept] = stop
            row.net[kept] = top.net
            row.host[kept] = top.host
            kept += 1
            for k in range(count):
                if found[k].start < stop and start < found[k].stop:
                    found[k].kind = 0
        row.count = kept
        # A time that is really (part of) an address of this packet is none.
        if row.time_kind != 0:
            for k in range(kept):
                if row.relation[k] > OTHER and row.start[k] < row.time_stop and row.time_start < row.stop[k]:
                    row.time_kind = 0
                    row.time_us = 0


@helper
def put(out, at, text, start, stop):
    """Copy text[start:stop] to out[at:]; returns the new end."""
    for k in range(start, stop):
        out[at] = text[k]
        at += 1
    return at


@kernel
def template(data, offset, length, search, rows, labels, label_stop, out, end):
    """Write each name with what it embeds replaced by what it is.

    search i4 (n,): octets of the name that `embedded` searched; rows: its output; labels u1, label_stop i4: the
    words to put, one behind another, by relation and kind (wire.embedded has the order).
    out u1: room for length + 96 octets a name; end i4 (n,): where each ends. Names without a find are left empty.
    """
    data, labels, out = borrowed(data), borrowed(labels), borrowed(out)
    at = 0
    for i in range(len(length)):
        row = rows[i]
        if row.count == 0 and row.time_kind == 0:
            end[i] = at
            continue
        begin = offset[i]
        k = 0
        while k < length[i]:
            word = -1
            stop = k
            for j in range(row.count):
                if row.start[j] == k:
                    word = row.relation[j]
                    stop = row.stop[j]
            if word < 0 and row.time_kind != 0 and row.time_start == k:
                word = 4 + row.time_kind
                stop = row.time_stop
            c = data[begin + k]
            if word < 0 and k < search[i] and 48 <= c <= 57:
                word = 0
                stop = k + 1
                edge = search[i]
                for j in range(row.count):
                    if k < row.start[j] < edge:
                        edge = row.start[j]
                if row.time_kind != 0 and k < row.time_start < edge:
                    edge = row.time_start
                while stop < edge and 48 <= data[begin + stop] <= 57:
                    stop += 1
            if word < 0:
                out[at] = c
                at += 1
                k += 1
            else:
                at = put(out, at, labels, label_stop[word - 1] if word > 0 else 0, label_stop[word])
                k = stop
        end[i] = at
