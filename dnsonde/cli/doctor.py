"""`dnsonde doctor`: what this machine allows."""

import click


@click.command()
def doctor() -> None:
    """Tell what this machine allows.

    Ports, buffers, capabilities, open files, IPv6, clock, compiled code; and the command that fixes each thing.
    Nothing is changed and no packet is sent. Probing needs no privilege; only serving port 53 does.
    """
    from rich.table import Table
    from rich.text import Text

    from dnsonde import doctor as room
    from dnsonde.cli._terminal import console
    from dnsonde.escape import terminal

    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")
    wrong = 0
    for check in room.checks():
        wrong += not check.good
        mark = Text("ok", style="green") if check.good else Text("--", style="yellow")
        table.add_row(mark, check.name, terminal(check.found))
        if check.fix:
            table.add_row("", "", Text(f"fix: {terminal(check.fix)}", style="bold"))
    out = console()
    out.print(table)
    out.print()
    out.print(
        "This machine allows everything." if not wrong else "The rest works; what is marked -- is optional."
    )
