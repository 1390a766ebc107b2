"""CPU and memory requests from what containers use: decaying histograms, beside the rule of the VPA."""

from planners.rightsizing.histogram import DecayingHistograms
from planners.rightsizing.mixture import MixtureSizer, SizingPolicy
from planners.rightsizing.port import Sizer, UnknownSizerError, known_sizers, make_sizer
from planners.rightsizing.score import Fit, fit
from planners.rightsizing.values import Request
from planners.rightsizing.vpa import VpaSizer

__all__ = [
    "DecayingHistograms",
    "Fit",
    "MixtureSizer",
    "Request",
    "Sizer",
    "SizingPolicy",
    "UnknownSizerError",
    "VpaSizer",
    "fit",
    "known_sizers",
    "make_sizer",
]
