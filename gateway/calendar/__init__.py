"""When the exchanges trade. The days and hours are data: `holidays.json`, or the owner's own."""

from gateway.calendar.calendar import Calendar, Session, Status
from gateway.calendar.days import BadDays, Days, read_days

__all__ = ["BadDays", "Calendar", "Days", "Session", "Status", "read_days"]
