"""XARF reports as mails to abuse contacts: files to look at and to send by other means. Nothing is sent."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.generator import BytesGenerator
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dnsonde.errors import SystemRefusal
from dnsonde.escape import terminal
from dnsonde.owners.owner import mail_of
from dnsonde.whole import whole

UNSAFE = re.compile(r"[^A-Za-z0-9@._+-]")


def write_mails(reports: Iterable[tuple[Mapping[str, Any], str | None]], folder: Path) -> tuple[int, int]:
    """Write a mail (RFC 5965) for each report that has an abuse contact; how many, and how many have none.

    The files are named by contact and report: who writes them again writes the same.
    """
    written = left = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for report, contact in reports:
            # The contact came from a file: what is no plain mail address could add headers, or folders.
            if contact is None or mail_of(contact) is None:
                left += 1
                continue
            name = f"{UNSAFE.sub('_', contact)}-{report['report_id']}.eml"
            with whole(folder / name) as file:
                BytesGenerator(file).flatten(mail(report, contact))
            written += 1
    except OSError as error:
        raise SystemRefusal(f"cannot write in {folder}: {error.strerror}") from error
    return written, left


def mail(report: Mapping[str, Any], contact: str) -> MIMEMultipart:
    """One report as a mail of three parts: for people, for machines (RFC 5965), and the XARF document."""
    sender = report["sender"]
    source = report["source_identifier"]
    message = MIMEMultipart("report", boundary=f"xarf-{report['report_id']}")
    message.set_param("report-type", "feedback-report")
    message["From"] = sender["contact"]
    message["To"] = contact
    message["Subject"] = f"Abuse report: {report['type']} at {source}"
    message["Date"] = format_datetime(datetime.fromisoformat(report["timestamp"]))
    message["Message-ID"] = f"<{report['report_id']}@{sender['domain']}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-XARF"] = "PLAIN"
    message.attach(MIMEText(_for_people(report)))
    feedback = MIMEBase("message", "feedback-report")
    feedback.set_payload(
        f"Feedback-Type: xarf\r\nUser-Agent: dnsonde/{version('dnsonde')}\r\nVersion: 1\r\nSource-IP: {source}\r\n"
        f"Arrival-Date: {message['Date']}\r\n"
    )
    message.attach(feedback)
    document = MIMENonMultipart("application", "json", name="xarf.json")
    document["Content-Disposition"] = 'attachment; filename="xarf.json"'
    document.set_payload(json.dumps(report, ensure_ascii=True, indent=2) + "\n")
    message.attach(document)
    return message


def _for_people(report: Mapping[str, Any]) -> str:
    said = terminal(report["description"], keep="").encode("ascii", "backslashreplace").decode("ascii")
    return (
        f"Dear colleagues,\n\n{said}\n\nAddress: {report['source_identifier']}\nSeen: {report['timestamp']}\n"
        f"What: {report['category']}, {report['type']}\n\nThe attached xarf.json (XARF {report['xarf_version']}, "
        f"https://xarf.org) says it for your tools.\n\n{terminal(report['reporter']['org'], keep='')}\n"
    )
