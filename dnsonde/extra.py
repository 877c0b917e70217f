"""Libraries that not everybody needs: an extra of the installation brings them."""

from importlib import import_module
from types import ModuleType

from dnsonde.errors import SystemRefusal


def library(name: str, form: str, extra: str = "export", system: str = "") -> ModuleType:
    """A library of an extra; SystemRefusal where it is not installed, or not what it needs of the `system`."""
    try:
        return import_module(name)
    except ImportError as error:
        raise SystemRefusal(
            f"the format {form} is written by the library {name}, which is not installed: "
            f"`pip install 'dnsonde[{extra}]'` brings it"
        ) from error
    except OSError as error:
        raise SystemRefusal(
            f"the format {form} is written by the library {name}, which needs what this machine lacks: {system}"
        ) from error
