"""Registered domains and label statistics: against the publicsuffixlist package and plain Python."""

import math
import re
from collections import Counter

import dns.name
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from dnsonde.wire import domain
from dnsonde.wire._kernels import domain as kernel
from dnsonde.wire.batch import Batch

PSL = PublicSuffixList()
RULES = sorted(r.lstrip("!*.") for r in PSL._publicsuffix if r.isascii())

labels = st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True)
names = st.one_of(
    st.lists(labels, min_size=1, max_size=6).map(".".join),
    st.tuples(st.lists(labels, max_size=4), st.sampled_from(RULES)).map(lambda t: ".".join([*t[0], t[1]])),
)

# Any octets: as \\. and \\\\, and by number (RFC 1035, 5.1).
escaped = st.from_regex(r"([a-z0-9_-]|\\[.\\]|\\(0[0-3]|1[3-9]|2[0-4])[0-9]){1,12}", fullmatch=True)
any_names = st.tuples(st.lists(escaped, max_size=4), names).map(lambda t: ".".join([*t[0], t[1]]))


def domains_of(texts: list[str]) -> list[str | None]:
    batch = Batch.of([t.encode() for t in texts])
    found: list[str | None] = domain.registered_domains(batch, domain.name_facts(batch)).to_pylist()
    return found


@given(st.lists(names, min_size=1, max_size=20))
def test_registered_domain_agrees_with_the_publicsuffixlist_package(texts: list[str]) -> None:
    assert domains_of(texts) == [PSL.privatesuffix(t) for t in texts]


def test_every_rule_of_the_list_is_known_as_the_wire_has_it() -> None:
    """Those in other scripts by their ASCII form, which the package makes by IDNA."""
    texts = [f"a.b.{rule.lstrip('!*.')}" for rule in sorted(PSL._publicsuffix) if rule.isascii()]
    assert domains_of(texts) == [PSL.privatesuffix(text) for text in texts]
    assert sum("xn--" in text for text in texts) > 100


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1.2.0.192.in-addr.arpa", "192.in-addr.arpa"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("x.city.kobe.jp", "city.kobe.jp"),  # an exception rule
        ("a.b.c.kobe.jp", "b.c.kobe.jp"),  # a wildcard rule
        ("kobe.jp", None),
        ("bc2874fb-1.c.secshow.net", "secshow.net"),
        ("com", None),
        ("", None),
        (".", None),
        (r"a\.b.example.com", "example.com"),  # an escaped dot is no label boundary
    ],
)
def test_registered_domain_of_well_known_names(name: str, expected: str | None) -> None:
    assert domains_of([name]) == [expected]


def twin(name: str) -> dict[str, float]:
    """Plain Python for everything but the domain itself."""
    if name in ("", "."):
        return {"labels": 0, "label_max": 0, "digits": 0, "sub_bytes": 0, "entropy": 0.0}
    parts = octets(name)
    registered = domains_of([name])[0]
    left = parts[: -len(octets(registered))] if registered else []
    letters = Counter(b"".join(left).replace(b".", b""))
    total = sum(letters.values())
    return {
        "labels": len(parts),
        "label_max": max(map(len, parts)),
        "digits": sum(c in "0123456789" for c in re.sub(r"\\[0-9]{3}", "", name)),
        "sub_bytes": len(b".".join(left)),
        "entropy": -sum(n / total * math.log2(n / total) for n in letters.values()) if total else 0.0,
    }


def octets(name: str) -> list[bytes]:
    """The labels, as dnspython reads them."""
    return list(dns.name.from_text(name, None).labels)


@given(st.lists(any_names, min_size=1, max_size=20))
def test_label_statistics_equal_the_twin(texts: list[str]) -> None:
    rows = domain.name_facts(Batch.of([t.encode() for t in texts]))
    for text, row in zip(texts, rows, strict=True):
        expected = twin(text)
        assert {k: row[k] for k in expected} == pytest.approx(expected)
        assert (row["sub_hash"] != 0) == (expected["sub_bytes"] > 0)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=10))
def test_arbitrary_bytes_are_read_within_their_slice(items: list[bytes]) -> None:
    batch = Batch.of(items)
    rows = np.zeros(len(items), domain.NAME_FACTS)
    scratch = np.zeros((2, 256), np.int32)
    # The uncompiled kernel on numpy arrays: every index is checked.
    arguments = (batch.data, batch.offset, batch.length, *domain._rules(), scratch[0], scratch[1])
    with np.errstate(over="ignore"), pytest.MonkeyPatch.context() as patch:
        for helper in ("mix", "ends_with", "escape_size", "octets_of"):
            patch.setattr(kernel, helper, getattr(kernel, helper).py_func)
        kernel.name_facts.py_func(*arguments, rows.view(np.recarray))
    assert not scratch[1].any()
    assert (rows == domain.name_facts(batch)).all()


def test_each_kernel_has_one_signature() -> None:
    domain.warm()
    assert len(kernel.name_facts.signatures) == 1
