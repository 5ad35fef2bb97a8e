"""The owner's own days, kept in the data directory, where a program of last year looks too."""

from __future__ import annotations

import logging
from pathlib import Path

from gateway.calendar.calendar import Calendar
from gateway.calendar.days import BadDays, Days, built_in, read_days

log = logging.getLogger(__name__)

FILE = "holidays.json"


class CalendarFile:
    """`problem` says why the owner's file is not used; the built-in days then stand."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self.problem: str | None = None
        self.calendar = Calendar(self._load())

    def replace(self, text: bytes) -> Days:
        """Use these days from now on and after every start. Raises: `BadDays`, `OSError`."""
        days = read_days(text)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(text)
        fresh.replace(self._path)
        self.calendar.use(days)
        self.problem = None
        return days

    def _load(self) -> Days:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return built_in()
        except OSError as error:
            return self._fall_back(str(error))
        try:
            return read_days(text)
        except BadDays as error:
            return self._fall_back(str(error))

    def _fall_back(self, why: str) -> Days:
        self.problem = f"{self._path} is not used: {why}"
        log.error("%s; the built-in holidays stand", self.problem)
        return built_in()
