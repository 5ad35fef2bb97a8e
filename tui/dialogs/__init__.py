"""Dialogs: whatever acts asks here first."""

from tui.dialogs.confirm import Confirm
from tui.dialogs.help import Help
from tui.dialogs.kill import KillDialog
from tui.dialogs.login import LoginDialog
from tui.dialogs.resolve import ResolveDialog

__all__ = ["Confirm", "Help", "KillDialog", "LoginDialog", "ResolveDialog"]
