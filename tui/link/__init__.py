"""The way to the gateway: plain HTTP calls and one event stream. Knows nothing of the screen."""

from tui.link.api import Gateway, Problem, problem_words
from tui.link.figures import Figures, Quantiles
from tui.link.http import Answer, NoAnswer, Unreachable, Where
from tui.link.sse import Event

__all__ = [
    "Answer",
    "Event",
    "Figures",
    "Gateway",
    "NoAnswer",
    "Problem",
    "Quantiles",
    "Unreachable",
    "Where",
    "problem_words",
]
