"""Virtual staining that can be trusted as a measurement.

What a plugin author imports::

    from vsframework import Component, Params, hookimpl
"""

from vsframework.components import Component, NoParams, Params
from vsframework.errors import UsageError, VsfError
from vsframework.hookspecs import hookimpl

__all__ = ["Component", "NoParams", "Params", "UsageError", "VsfError", "__version__", "hookimpl"]

__version__ = "0.1.0"
