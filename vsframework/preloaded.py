"""For the process that workers are copies of: importing this imports what the environment names, but for what fails.

Python's fork server ends at the first module that fails in any other way than by not being there, and every worker with
it. A plugin that cannot be imported there is the plugin's trouble, in the work that needs it.
"""

from __future__ import annotations

import contextlib
import importlib
import os

MODULES = "VSF_PRELOADED_MODULES"
"""The variable that names them, separated by spaces."""

for _module in os.environ.get(MODULES, "").split():
    with contextlib.suppress(Exception):
        importlib.import_module(_module)
