"""`dnsonde completion`: what a shell needs to finish our words."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    \b
    bash:  dnsonde completion bash > ~/.local/share/bash-completion/completions/dnsonde
    zsh:   dnsonde completion zsh > a folder of $fpath, as _dnsonde
    fish:  dnsonde completion fish > ~/.config/fish/completions/dnsonde.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    root = click.get_current_context().find_root().command
    # Not kind.source(): for bash it starts a bash to learn its version, which --help has no need of.
    made = kind(root, {}, "dnsonde", "_DNSONDE_COMPLETE")
    click.echo(made.source_template % made.source_vars())
