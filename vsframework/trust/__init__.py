"""When a number can be trusted: gates on the image, intervals on the value, and abstention.

``table``: ``trust.json``. ``learning``: limits of the gates. ``judging``: cells against them. ``difficulty`` and
``conformal``: intervals. ``calibrating``: the stage of a run. ``answers``: beside stained images.
"""

from vsframework.trust.calibrating import calibrate
from vsframework.trust.judging import Judge, Verdicts
from vsframework.trust.table import NAME, Trust

__all__ = ["NAME", "Judge", "Trust", "Verdicts", "calibrate"]
