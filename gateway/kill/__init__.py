"""The kill switch: its levels and scopes, what of it is kept, and how it is thrown by hand.

Knows the journal and nothing above it; the orchestrator asks it before every send.
"""

from gateway.kill.file import KILL_FILE, KillFile
from gateway.kill.levels import Engagement, Level, Progress, Scope, Subject
from gateway.kill.switch import KillSwitch, KillSwitchEngaged, refusal

__all__ = [
    "KILL_FILE",
    "Engagement",
    "KillFile",
    "KillSwitch",
    "KillSwitchEngaged",
    "Level",
    "Progress",
    "Scope",
    "Subject",
    "refusal",
]
