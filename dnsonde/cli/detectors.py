"""`dnsonde detectors`: what is looked for."""

import click


@click.command()
def detectors() -> None:
    """List the detectors, and what each finds."""
    from dnsonde.cli._terminal import console, show_list
    from dnsonde.findings.about import about

    out = console()
    told = ((name, one.subject_kind, one.explanation.partition("\n")[0]) for name, one in about().items())
    show_list(out, ("detector", "about", "finds"), told)
    out.print("\nMore: dnsonde explain NAME")
