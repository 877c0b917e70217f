import base64
import email
import json
from collections.abc import Callable
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import xarf as reader

from dnsonde.errors import UsageError
from dnsonde.export.xarf import reports, xarf
from dnsonde.mail import write_mails
from dnsonde.view.nature import FORGEABLE
from dnsonde.view.view import View
from tests.export.views import VICTIM, amplified, attack, finding, flow, make_view

Documents = Callable[..., list[dict[str, Any]]]


def read(report: dict[str, Any]) -> Any:
    parsed = reader.parse(report, strict=False)
    assert parsed.errors == []
    return parsed.report


@pytest.mark.parametrize("which", ["run", "lake"])
def test_the_library_of_xarf_reads_every_report(
    which: str, request: pytest.FixtureRequest, documents: Documents
) -> None:
    found = documents(xarf, request.getfixturevalue(which))
    assert found
    for report in found:
        again = read(report)
        assert again.source_identifier == report["source_identifier"]
        assert again.reporter.domain == "example.net"
        for item in report.get("evidence", []):
            json.loads(base64.b64decode(item["payload"], validate=True))
    assert len({report["report_id"] for report in found}) == len(found)


def test_each_report_is_about_who_can_mend_it(lake: View, documents: Documents) -> None:
    found = documents(xarf, lake)
    kinds = {(r["type"], r["source_identifier"]) for r in found}
    assert ("open_service", "192.0.2.1") in kinds
    assert ("infected_host", "203.0.113.66") in kinds
    assert ("vulnerability_scan", "2001:db8:f::1") in kinds
    assert ("ddos", "198.51.100.1") in kinds
    login = next(r for r in found if r["type"] == "login_attack")
    assert login["source_port"] == 51515
    # Victims, domains and what nobody knows are nobody's fault.
    assert not {"192.0.2.10", "203.0.113.68", "secshow.net"} & {source for _, source in kinds}


def test_whose_address_may_be_forged_is_not_accused_without_a_word(lake: View, documents: Documents) -> None:
    said = {r["type"]: r["description"].endswith(FORGEABLE) for r in documents(xarf, lake)}
    assert said["vulnerability_scan"]
    assert not said["login_attack"], "a conversation is nobody else's"
    assert not said["open_service"]


def test_a_scan_of_what_xarf_has_no_name_for_is_of_mixed_protocols(documents: Documents) -> None:
    said = {"icmp": "icmp", "tcp": "tcp", "udp": "udp", "ip": "mixed"}
    findings = [finding("service_scan", f"203.0.113.{n}", "address", evidence={"protocol": name})
                for n, name in enumerate(said)]  # fmt: skip
    found = documents(xarf, make_view(findings=findings, contact="noc@example.net"))
    assert [r["protocol"] for r in found] == list(said.values())


def test_a_login_attack_has_both_ports_of_one_flow(documents: Documents) -> None:
    source = "203.0.113.67"
    flows = [flow(source, VICTIM, protocol=6, src_port=40001, dst_port=2323),
             flow(source, VICTIM, protocol=6, src_port=50001, dst_port=23)]  # fmt: skip
    findings = [finding("telnet_bruteforce", source, "address")]
    (report,) = documents(xarf, make_view(findings=findings, flows=flows, contact="noc@example.net"))
    assert (report["source_port"], report["destination_port"]) == (40001, 2323)


def test_the_reflectors_that_send_most_are_reported(lake: View, documents: Documents) -> None:
    found = documents(xarf, lake, sources_max=3)
    assert [r["source_identifier"] for r in found if r["type"] == "ddos"] == [
        "198.51.100.1", "198.51.100.2", "198.51.100.3"]  # fmt: skip


def test_each_service_and_each_victim_has_its_own_report(documents: Documents, tmp_path: Path) -> None:
    other = "192.0.2.11"
    flows = [*amplified(), *amplified(other), *(f | {"src_port": 123} for f in amplified())]
    findings = [attack(), attack("flood"), attack(victim=other)]
    found = documents(xarf, make_view(findings=findings, flows=flows, contact="noc@example.net"))
    assert {(r["source_port"], r["destination_ip"]) for r in found} == {
        (53, VICTIM),
        (123, VICTIM),
        (53, other),
    }
    assert len({r["report_id"] for r in found}) == len(found) == 60
    written, _ = write_mails([(report, "abuse@example.net") for report in found], tmp_path)
    assert written == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("contact", ["", "https://example.net/who", "a@b\nBcc: c@example.net", "noc"])
def test_who_reports_must_be_said(contact: str, run: View, documents: Documents) -> None:
    with pytest.raises(UsageError, match="--set contact="):
        documents(xarf, View("run", run.connection, run.tables, run.findings), contact=contact)


def test_a_mail_has_the_parts_of_rfc_5965(lake: View, tmp_path: Path) -> None:
    written, left = write_mails(reports(lake, "Example CSIRT", ""), tmp_path)
    files = sorted(tmp_path.glob("*.eml"))
    assert (written, len(files)) == (2, 2)  # of the infected host and of one reflector the contact is known
    assert left > 0
    for path in files:
        mail = email.message_from_bytes(path.read_bytes(), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        assert mail["To"] == "abuse@example.net"
        assert mail.get_content_type() == "multipart/report"
        assert mail.get_param("report-type") == "feedback-report"
        text, feedback, document = list(mail.iter_parts())
        assert text.get_content_type() == "text/plain"
        assert feedback.get_content_type() == "message/feedback-report"
        assert b"Feedback-Type: xarf" in feedback.as_bytes()
        assert document.get_filename() == "xarf.json"
        assert read(json.loads(document.get_content()))
        assert path.read_bytes().isascii()


def test_an_organisation_may_have_letters_beyond_ascii(run: View, tmp_path: Path) -> None:
    write_mails(reports(run, "Universit\u00e4t \udc80", ""), tmp_path)
    (path,) = tmp_path.iterdir()
    text = next(email.message_from_bytes(path.read_bytes(), policy=policy.default).iter_parts())
    assert text.get_content().endswith("\nUniversit\u00e4t \\x80\n")
    assert path.read_bytes().isascii()


def test_mails_written_again_are_the_same(lake: View, tmp_path: Path) -> None:
    write_mails(reports(lake, "", ""), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    write_mails(reports(lake, "", ""), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "contact", ["../../etc/x@example.net", "a@example.net\nBcc: all@example.net", "a b@example.net"]
)
def test_a_hostile_contact_gets_neither_headers_nor_folders(contact: str, run: View, tmp_path: Path) -> None:
    report, _ = next(reports(run, "", "noc@example.net"))
    folder = tmp_path / "mails"
    write_mails([(report, contact)], folder)
    assert all(path.parent == folder for path in tmp_path.rglob("*.eml"))
    assert not any(b"Bcc" in path.read_bytes() for path in tmp_path.rglob("*.eml"))
