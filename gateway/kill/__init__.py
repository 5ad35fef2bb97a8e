"""The kill switch: its levels and scopes, what of it is kept, and how it is thrown by hand.

Knows the journal and nothing above it; the orchestrator asks it before every send.
"""

from gateway.kill.emergency import EmergencyLog
from gateway.kill.file import KILL_FILE, KillFile
from gateway.kill.levels import Engagement, Level, Progress, Scope, Subject
from gateway.kill.switch import KillSwitch, KillSwitchEngaged

__all__ = [
    "KILL_FILE",
    "EmergencyLog",
    "Engagement",
    "KillFile",
    "KillSwitch",
    "KillSwitchEngaged",
    "Level",
    "Progress",
    "Scope",
    "Subject",
]
