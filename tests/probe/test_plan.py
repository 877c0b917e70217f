"""Plans: what they may say, what the rules refuse, and the sentence that says so."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde.errors import PlanError
from dnsonde.probe import _special, _targets
from dnsonde.probe._targets import BadListError, read_list
from dnsonde.probe.order import Order
from dnsonde.probe.plan import MOST, Plan, load_plan, read_plan, template
from dnsonde.wire.batch import address_array, address_text
from dnsonde.wire.codes import LineStatus
from dnsonde.wire.lines import parse_lines

HERE = Path()
OURS = """
[identity]
contact = "noc@campus.edu"
description = "a test"
"""
ZONE = """
[zone]
name = "probes.campus.edu"
authority = "9.9.9.9"
"""
KNOWN = """
[zone]
known = "www.campus.edu"
answer = "9.9.9.80"
"""


def plan(scope: str, *, identity: str = OURS, zone: str = ZONE, more: str = "", folder: Path = HERE) -> Plan:
    return read_plan(f"{identity}{zone}{more}\n[scope]\n{scope}\n", folder)


def refusal(scope: str, **rest: str) -> str:
    with pytest.raises(PlanError) as caught:
        plan(scope, **rest).scope()  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith("the plan")
    assert "\n" not in message
    return message


def addresses(found: Plan) -> list[str]:
    scope = found.scope()
    return [address_text(int(a["net"]), int(a["host"])) for a in scope.at(np.arange(scope.size))]


def test_prefixes_of_both_families_single_addresses_and_exclusions() -> None:
    found = plan('prefixes = ["20.0.0.0/30", "20.0.1.9", "2a00::/127"]\nexclude = ["20.0.0.1/32", "2a00::"]')
    assert addresses(found) == ["20.0.0.0", "20.0.0.2", "20.0.0.3", "20.0.1.9", "2a00::1"]
    assert [(e.addresses, e.reason) for e in found.excluded] == [(2, "on the blocklist: [scope] exclude")]
    assert found.zone.authority == found.zone.control == ("9.9.9.9",)
    assert (found.total_pps, found.prefix_pps) == (1000.0, 5.0)
    assert not found.is_loopback


def test_every_setting_is_read(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        f"""{OURS}
[scope]
prefixes = "20.0.0.0/24"
port = 5353
[zone]
name = "Probe.Campus.EDU."
authority = ["9.9.9.9", "2620:fe::fe"]
authority_port = 5300
control = ["9.9.9.10"]
nsid = "probe 1"
[pace]
total_pps = 1
prefix_pps = 0.01
prefix4 = 25
prefix6 = 56
[probe]
attempts = 15
timeout_s = 0.5
characterise = false
shard = "2/8"
edns_size = 0
source = "9.9.9.11"
"""
    )
    found = load_plan(tmp_path / "plan.toml")
    assert found.scope().size == 256
    assert (found.space.port, found.zone.authority_port, found.shard) == (5353, 5300, (2, 8))
    assert (found.total_pps, found.prefix_pps) == (1.0, 0.01 / 8)
    assert (found.zone.control, found.zone.nsid) == (("9.9.9.10",), "probe 1")
    assert (found.probe.attempts, found.probe.timeout_s, found.probe.edns_size) == (15, 0.5, 0)


def test_a_known_name_does_without_an_authority() -> None:
    found = plan('prefixes = "20.0.0.0/24"', zone=KNOWN)
    assert found.is_known
    assert found.zone.answer == ("9.9.9.80",)
    assert found.scope().size == 256


def test_loopback_needs_no_identity_and_has_no_prefix_ceiling() -> None:
    found = plan('prefixes = ["127.1.0.0/16", "::1"]', identity="")
    assert found.scope().size == 65_537
    assert found.is_loopback
    assert found.prefix_pps is None
    assert plan('prefixes = "127.0.0.0/8"', identity="").scope().size == 2**24


def test_loopback_is_not_mixed_with_the_world() -> None:
    assert "mixes loopback (127.0.0.1)" in refusal('prefixes = ["20.0.0.1", "127.0.0.1"]')


@pytest.mark.parametrize(
    ("identity", "sentence"),
    [
        ("", "[identity] contact is missing"),
        ('[identity]\ncontact = "  "', "[identity] contact is missing"),
        ('[identity]\ncontact = "noc@example.net"', "[identity] description is missing"),
        ('[identity]\ncontact = "me"\ndescription = "d"', "neither a mail address nor a URL"),
        ('[identity]\ncontact = "NOC <noc@x.org>"\ndescription = "d"', "write it like noc@example.net"),
        ('[identity]\ncontact = "http://[x"\ndescription = "d"', "[identity] contact: 'http://[x' is no URL"),
        ('[identity]\nurl = "https://[x"', "[identity] url: 'https://[x' is no URL"),
        ('[identity]\nurl = "https://a\\u001bb.example"', "[identity] url"),
        ('[identity]\nurl = "https://a\\u202eb.example"', "[identity] url"),
    ],
)
def test_who_probes_others_says_who_asks(identity: str, sentence: str) -> None:
    assert sentence in refusal('prefixes = "20.0.0.0/24"', identity=identity)


@pytest.mark.parametrize("block", _special.blocks(), ids=str)
def test_special_space_is_refused_by_its_name_in_the_registry(block: _special.Block) -> None:
    if block.kind == "loopback":
        return
    message = refusal(f'prefixes = ["20.0.0.0/24", "{block.network}"]')
    assert "special-purpose" in message or "IPv4 address written as IPv6" in message
    if block.network.prefixlen == block.network.max_prefixlen:
        assert str(block) in message


@pytest.mark.parametrize("block", [b for b in _special.blocks() if b.kind == "private"], ids=str)
def test_private_space_is_allowed_when_the_plan_says_so(block: _special.Block) -> None:
    first = block.network.network_address
    assert "private = true" in refusal(f'prefixes = "{first}"')
    assert plan(f'prefixes = "{first}"\nprivate = true').scope().size == 1


def test_private_does_not_allow_other_special_space() -> None:
    assert "Link Local" in refusal('prefixes = "169.254.1.1"\nprivate = true')


def test_special_space_inside_a_wider_prefix_is_left_out_and_counted() -> None:
    found = plan('prefixes = ["192.88.0.0/16", "20.0.0.0/24"]')
    reasons = {e.reason: e.addresses for e in found.excluded}
    assert reasons == {"special-purpose: 192.88.99.0/24 Deprecated (6to4 Relay Anycast) (RFC 7526)": 256}
    assert found.scope().size == 65_536
    inside = found.scope().contains(
        address_array(["192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"])
    )
    assert inside.tolist() == [True, False, False, True]


def test_the_whole_of_ipv4_leaves_what_the_registries_leave() -> None:
    url = OURS + 'url = "https://probing.example.net/"\n'
    found = plan('prefixes = "0.0.0.0/0"\ninternet_wide = true', identity=url)
    scope = found.scope()
    assert scope.size + sum(e.addresses for e in found.excluded) == 2**32
    for block in _special.blocks():
        if block.network.version == 4:
            assert not scope.contains(address_array([block.network[0], block.network[-1]])).any()


def test_more_than_a_slash_eight_needs_a_word_and_a_page() -> None:
    wide = 'prefixes = ["20.0.0.0/8", "21.0.0.0/32"]'
    url = OURS + 'url = "https://probing.example.net/"\n'
    assert "internet_wide = true" in refusal(wide, identity=url)
    assert "[identity] url is missing" in refusal(f"{wide}\ninternet_wide = true")
    assert plan(f"{wide}\ninternet_wide = true", identity=url).scope().size == 2**24 + 1
    assert plan('prefixes = "20.0.0.0/8"').scope().size == 2**24


@pytest.mark.parametrize("prefix", ["2a00::/87", "2a00::/64", "2a00::/12", "::/0"])
@pytest.mark.parametrize("shard", ["1/1", "1/1000"])
def test_ipv6_prefixes_that_no_run_can_keep_count_of_are_refused(prefix: str, shard: str) -> None:
    told = refusal(f'prefixes = "{prefix}"\ninternet_wide = true', more=f'[probe]\nshard = "{shard}"')
    assert "smaller IPv6 prefixes" in told


def test_the_widest_ipv6_prefix_of_a_run_is_allowed() -> None:
    url = OURS + 'url = "https://probing.example.net/"\n'
    assert plan('prefixes = "2a00::/88"\ninternet_wide = true', identity=url).scope().size == MOST


def test_all_of_ipv6_on_the_blocklist_leaves_ipv4() -> None:
    assert addresses(plan('prefixes = ["20.0.0.1", "2a00::1"]\nexclude = "::/0"')) == ["20.0.0.1"]


def test_the_blocklist_wins(tmp_path: Path) -> None:
    (tmp_path / "never.txt").write_text("# asked us to stop\n20.0.0.0/25\n 20.0.0.200 # and this one\n\n")
    (tmp_path / "targets.txt").write_text("20.0.0.7\n20.0.0.200\n20.0.0.201\n")
    found = plan(
        'prefixes = "20.0.0.128/28"\ntargets = "targets.txt"\nexclude = "20.0.0.130"\nexclude_file = "never.txt"',
        folder=tmp_path,
    )
    assert addresses(found) == [f"20.0.0.{n}" for n in [128, 129, *range(131, 144), 201]]
    assert [(e.addresses, e.reason) for e in found.excluded] == [
        (1, "on the blocklist: [scope] exclude"),
        (2, "on the blocklist: [scope] exclude_file never.txt"),
    ]


def test_a_blocklist_that_blocks_nothing_is_mentioned() -> None:
    found = plan('prefixes = "20.0.0.0/24"\nexclude = "20.0.1.0/24"')
    assert found.warnings == ("[scope] exclude excludes nothing that the plan would probe",)


def test_overlaps_are_merged_and_mentioned() -> None:
    found = plan('prefixes = ["20.0.0.0/24", "20.0.0.128/25", "20.0.0.5", "20.0.1.0/24"]')
    assert found.scope().size == 512
    assert found.warnings == ("[scope] names 129 addresses more than once; each is probed once",)


@pytest.mark.parametrize("scope", ["", "prefixes = []", 'exclude = "20.0.0.0/24"'])
def test_a_scope_that_names_nobody_is_refused(scope: str) -> None:
    assert "names nobody" in refusal(scope)


def test_a_scope_of_which_nothing_is_left_is_refused() -> None:
    assert "nothing is left" in refusal('prefixes = "20.0.0.0/24"\nexclude = "20.0.0.0/16"')


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("20.0.0.7/24", "bits set behind the prefix: write 20.0.0.0/24, or 20.0.0.7 for the one address"),
        ("2a00::1/64", "write 2a00::/64, or 2a00::1 for the one address"),
        ("::ffff:20.0.0.7", "an IPv4 address written as IPv6: write 20.0.0.7"),
        ("20.0.0.0/33", "neither an address nor a prefix"),
        ("20.0.0.0-20.0.0.9", "neither an address nor a prefix"),
        ("fe80::1%eth0", "neither an address nor a prefix"),
        ("example.net", "neither an address nor a prefix"),
        ("", "neither an address nor a prefix"),
        ("20.0.0.1\\n20.0.0.2", "neither an address nor a prefix"),
    ],
)
@pytest.mark.parametrize("setting", ["prefixes", "exclude"])
def test_a_bad_entry_is_told_with_its_right_spelling(setting: str, entry: str, sentence: str) -> None:
    other = "" if setting == "prefixes" else 'prefixes = "20.0.0.0/24"\n'
    message = refusal(f'{other}{setting} = ["20.0.0.0/24", "{entry}"]')
    assert f"[scope] {setting}" in message
    assert sentence in message


def test_a_file_with_bad_lines_is_refused_with_the_first_of_them(tmp_path: Path) -> None:
    lines = ["20.0.0.1", "what", "20.0.0.7/24", "# fine", *["x"] * 10, "20.0.0.2"]
    (tmp_path / "t.txt").write_text("\n".join(lines))
    with pytest.raises(PlanError) as caught:
        plan('targets = "t.txt"', folder=tmp_path).scope()
    message = str(caught.value)
    assert "12 lines are not usable" in message
    assert "line 2: 'what' is neither" in message
    assert "line 3: '20.0.0.7/24' has bits set behind the prefix: write 20.0.0.0/24" in message
    assert "line 7" in message
    assert "line 8" not in message


def test_line_numbers_hold_across_the_pieces_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_targets, "CHUNK", 64)
    path = tmp_path / "t.txt"
    path.write_text("\n".join(f"20.0.{n // 256}.{n % 256}" for n in range(1000)))
    assert addresses(plan('targets = "t.txt"', folder=tmp_path))[-1] == "20.0.3.231"
    path.write_text("\n".join("20.0.0.1" if n != 776 else "bad" for n in range(1000)))
    with pytest.raises(PlanError, match="one line is not usable; line 777: 'bad'"):
        plan('targets = "t.txt"', folder=tmp_path).scope()
    path.write_bytes(b"\x7fELF" + bytes(200))
    with pytest.raises(PlanError, match="is no list of addresses"):
        plan('targets = "t.txt"', folder=tmp_path).scope()


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"\[scope\] targets: .*nosuch.txt cannot be read: No such file"):
        plan('targets = "nosuch.txt"', folder=tmp_path).scope()


@pytest.mark.parametrize("setting", ["targets", "exclude_file"])
def test_a_path_that_no_file_can_have_is_refused(setting: str) -> None:
    assert "a path has no NUL in it" in refusal(f'prefixes = "20.0.0.0/24"\n{setting} = "a\\u0000b"')


def test_an_empty_target_file_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("# nothing yet\n")
    with pytest.raises(PlanError, match="names nobody"):
        plan('targets = "t.txt"', folder=tmp_path).scope()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[scope\n", "is not TOML: line 1, column 7"),
        ('[scope]\nport = 53\nprefixes = ["20.0.0.0/24"\nport = 5', "is not TOML: line 4, column 1"),
        ("[scope]\nport = 1\nport = 2", "line 3"),
        ("[scope]\nprefixes = [", "something is not closed"),
        ("", "has no [scope]: add that section, it says whom to ask"),
        ("[scope]", "has no [zone]: add that section, it says what to ask"),
        ("scope = 3", "write [scope] on a line of its own"),
        ("[scop]", "unknown section [scop]: did you mean `scope`?"),
        ("[scope]\nprefix = 1", "[scope] has no setting `prefix`: did you mean `prefixes`?"),
        ("[zone]\nxyz = 1", "[zone] has no setting `xyz`: it may have name, authority"),
        ('[scope]\nport = "53"\n[zone]', "[scope] port: expected int, got str"),
        ("[scope]\nprefixes = [1]\n[zone]", "[scope] prefixes: expected str, got int"),
        ("[scope]\nprefixes = " + "[" * 20_000, "nested too deep"),
        (f"[scope]\nport = {'9' * 5000}\n[zone]", "is not TOML"),
    ],
)
def test_a_broken_file_is_told_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(PlanError) as caught:
        read_plan(text, HERE)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("[probe]\nattempts = 0", "[probe] attempts: 0 is outside 1 to 15"),
        ("[probe]\nattempts = 16", "[probe] attempts"),
        ("[probe]\ntimeout_s = 0", "[probe] timeout_s"),
        ("[probe]\ntimeout_s = nan", "[probe] timeout_s"),
        ("[probe]\nedns_size = 100", "[probe] edns_size"),
        ('[probe]\nshard = "2"', "[probe] shard"),
        ('[probe]\nshard = "0/2"', "[probe] shard"),
        ('[probe]\nshard = "3/2"', "there is no shard 3 of 2"),
        ('[probe]\nsource = "eth0"', "[probe] source: 'eth0' is no address"),
        ('[probe]\nsource = "127.0.0.1"', "[probe] source 127.0.0.1 is loopback"),
        ('[probe]\nsource = "fe80::1"', "[probe] source fe80::1 is link-local"),
        ('[probe]\nsource = "fe80::1%lo"', "[probe] source: 'fe80::1%lo' has a zone id (%)"),
        ('[probe]\nsource = "::ffff:9.9.9.9"', "is an IPv4 address written as IPv6: write 9.9.9.9"),
        ('[probe]\nsource = "2620:fe::fe"', "[probe] source 2620:fe::fe is IPv6, which nobody in [scope] is"),
        ("[pace]\ntotal_pps = 0", "[pace] total_pps: 0.0 is no pace"),
        ("[pace]\ntotal_pps = 1e-300", "[pace] total_pps: 1e-300 is no pace"),
        ("[pace]\nprefix_pps = 1e-300", "[pace] prefix_pps: 1e-300 is no pace"),
        ("[pace]\nprefix_pps = -1", "[pace] prefix_pps"),
        ("[pace]\nprefix_pps = inf", "[pace] prefix_pps"),
        ("[pace]\nprefix4 = 33", "[pace] prefix4"),
    ],
)
def test_a_value_out_of_range_is_told_with_its_place(section: str, sentence: str) -> None:
    assert sentence in refusal('prefixes = "20.0.0.0/24"', more=section)


@pytest.mark.parametrize(
    ("zone", "sentence"),
    [
        ("", "needs `name`"),
        ('name = "a.example"\nknown = "b.example"\nanswer = "9.9.9.9"', "has both `name` and `known`"),
        ('known = "b.example"', "[zone] answer: is missing: give the right addresses of b.example"),
        ('answer = "9.9.9.9"', "needs `name`"),
        ('name = "a.example"\nanswer = "9.9.9.9"', "belongs to `known`"),
        ('name = "a.example"', "[zone] authority: is missing"),
        ('known = "b.example"\nanswer = "9.9.9.9"\ncontrol = "9.9.9.9"', "`known` does without"),
        ('known = "b.example"\nanswer = "9.9.9.9"\nnsid = "a"', "`known` does without"),
        (f'name = "a.example"\nauthority = "9.9.9.9"\nnsid = "{"n" * 65}"', "[zone] nsid"),
        ('name = "a.example"\nauthority = "9.9.9.9"\nnsid = "a\\nb"', "1 to 64 printable"),
        ('name = "a..example"\nauthority = "9.9.9.9"', "[zone] name"),
        ('name = "."\nauthority = "9.9.9.9"', "is the root"),
        (f'name = "{".".join(["a" * 60] * 4)}"\nauthority = "9.9.9.9"', "is too long by"),
        ('name = "a.example"\nauthority = "ns.example"', "[zone] authority: 'ns.example' is no address"),
        (
            'name = "a.example"\nauthority = "fe80::1%eth0"',
            "has a zone id (%), which means nothing to others",
        ),
        ('name = "a.example"\nauthority = "9.9.9.9"\nauthority_port = 0', "[zone] authority_port"),
    ],
)
def test_a_zone_that_cannot_work_is_refused(zone: str, sentence: str) -> None:
    assert sentence in refusal('prefixes = "20.0.0.0/24"', zone=f"[zone]\n{zone}")


def test_a_missing_or_unreadable_plan_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="dnsonde plan new"):
        load_plan(tmp_path / "plan.toml")
    (tmp_path / "plan.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="is UTF-16 text: save it as UTF-8"):
        load_plan(tmp_path / "plan.toml")
    with pytest.raises(PlanError, match="is a folder: name the plan's file"):
        load_plan(tmp_path)


def test_the_digest_changes_with_what_is_sent_and_only_with_that(tmp_path: Path) -> None:
    scope = 'prefixes = "20.0.0.0/24"\ntargets = "t.txt"'
    targets = tmp_path / "t.txt"
    targets.write_text("20.0.1.1\n20.0.1.2\n")
    digest = plan(scope, folder=tmp_path).digest
    assert len(digest) == 32
    same = [
        plan(scope, folder=tmp_path, more="[pace]\ntotal_pps = 1"),
        plan(scope, folder=tmp_path, more="[probe]\ntimeout_s = 9"),
        plan('prefixes = ["20.0.0.0/25", "20.0.0.128/25", "20.0.1.1", "20.0.1.2"]'),
    ]
    assert {p.digest for p in same} == {digest}
    targets.write_text("20.0.1.1\n20.0.1.3\n")
    other = [
        plan(scope, folder=tmp_path),
        plan(scope + "\nport = 54", folder=tmp_path),
        plan(scope, folder=tmp_path, zone=KNOWN),
        plan(scope, folder=tmp_path, more='[probe]\nshard = "1/2"'),
        plan(scope, folder=tmp_path, more="[probe]\nattempts = 4"),
    ]
    assert len({digest, *(p.digest for p in other)}) == 1 + len(other)


def test_shards_of_runs_with_keys_of_their_own_are_apart_and_together_complete() -> None:
    found = []
    for number in (1, 2, 3):
        mine = plan('prefixes = "20.0.0.0/24"', more=f'[probe]\nshard = "{number}/3"')
        order = Order(256, mine.order_key(mine.scope(), bytes([number] * 16)), mine.shard)
        found += order.at(np.arange(order.size)).tolist()
    assert sorted(found) == list(range(256))
    alone = plan('prefixes = "20.0.0.0/24"')
    assert alone.order_key(alone.scope(), b"secret") == b"secret"


def test_shards_share_the_ceiling_of_a_prefix_and_not_the_total() -> None:
    mine = plan('prefixes = "20.0.0.0/24"', more='[probe]\nshard = "1/64"')
    assert (mine.total_pps, mine.prefix_pps) == (1000.0, 5.0 / 64)


def test_the_template_is_a_plan_that_must_be_filled_in_first() -> None:
    fresh = read_plan(template(), HERE)
    with pytest.raises(PlanError, match="Documentation"):
        fresh.scope()
    filled = template().replace("192.0.2.0/24", "20.0.0.0/24").replace(', "2001:db8::/120"', "")
    name, authority = read_plan(filled, HERE).unfilled
    assert "[zone] name probe.example.net is reserved" in name
    assert "a zone that is delegated to your authority" in name
    assert "[zone] authority 198.51.100.7 is nobody's" in authority
    filled = filled.replace("probe.example.net", "probe.campus.edu").replace("198.51.100.7", "9.9.9.9")
    assert read_plan(filled, HERE).unfilled == ()


@pytest.mark.parametrize(
    "name", ["Probe.Example.NET.", "example.org", "probe.example", "p.invalid", "localhost", "p.test"]
)
def test_names_that_nobody_can_have_are_to_be_filled_in(name: str) -> None:
    for setting, rest in (("name", 'authority = "9.9.9.9"'), ("known", 'answer = "9.9.9.80"')):
        zone = f'[zone]\n{setting} = "{name}"\n{rest}\n'
        (told,) = plan('prefixes = "20.0.0.0/28"', zone=zone).unfilled
        assert f"[zone] {setting} {name} is reserved" in told
        assert plan('prefixes = "127.0.0.0/28"', zone=zone).unfilled == (), "in the lab they are fine"


def test_a_name_for_tests_is_fine_on_private_networks() -> None:
    zone = ZONE.replace("campus.edu", "test")
    assert plan('prefixes = "10.0.0.0/28"\nprivate = true', zone=zone).unfilled == ()
    own = ZONE.replace("probes.campus.edu", "not-example.net")
    assert plan('prefixes = "20.0.0.0/28"', zone=own).unfilled == ()


def test_an_answer_for_documentation_is_to_be_filled_in() -> None:
    (told,) = plan('prefixes = "20.0.0.0/28"', zone=KNOWN.replace("9.9.9.80", "2001:db8::80")).unfilled
    assert "[zone] answer 2001:db8::80 is nobody's" in told


def test_every_setting_is_explained_in_the_template() -> None:
    fresh = read_plan(template(), HERE)
    for section in (fresh.identity, fresh.space, fresh.zone, fresh.pace, fresh.probe):
        for name in section.__struct_fields__:
            assert f"{name} = " in template()


@given(
    st.lists(
        st.one_of(
            st.ip_addresses(network="127.0.0.0/8").map(str),
            st.text("0123456789abcdefABF:./- %", max_size=20),
            st.tuples(st.ip_addresses(), st.integers(0, 130)).map(lambda t: f" {t[0]}/{t[1]}"),
            st.sampled_from(["10.0.0.0/255.0.0.0", "10.0.0.0/08", "::ffff:192.0.2.1", "::ffff:0:0/96", "::/0"]),
        ),
        max_size=5,
    )
)  # fmt: skip
@pytest.mark.parametrize("few", [0, 50_000])
def test_a_plans_list_is_read_as_a_file_of_its_lines_would_be(few: int, entries: list[str]) -> None:
    rows = parse_lines("".join(f"{entry}\n" for entry in entries).encode())
    mapped = (
        (rows["version"] == 6) & (rows["net"] == 0) & (rows["host"] >> 32 == 0xFFFF) & (rows["bits"] >= 96)
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_targets, "FEW", few)
        if ((rows["status"] == LineStatus.FINE) & ~mapped).all():
            assert read_list(entries, "here").tolist() == rows.tolist()
        else:
            with pytest.raises(BadListError):
                read_list(entries, "here")


@pytest.mark.parametrize("entry", ["20.0.0.1\n20.0.0.2", "20.0.0.1 # home", ""])
def test_a_long_list_is_as_strict_as_a_short_one(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_targets, "FEW", 0)
    with pytest.raises(BadListError, match="neither an address nor a prefix"):
        read_list(["20.0.0.9", entry], "here")
