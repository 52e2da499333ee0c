"""Simulated events with truth: particles, detector response, noise and inefficiency.

Needs the extra ``simulation`` (`pyacts`). Pythia 8 is in the opt-in extra
``generators`` because of its licence. Importing this package loads neither.
"""

from producers.simulation.config import GunConfig, SimulationConfig
from producers.simulation.event import GeneratedParticles, SimulatedEvent
from producers.simulation.simulate import simulate

__all__ = [
    "GeneratedParticles",
    "GunConfig",
    "SimulatedEvent",
    "SimulationConfig",
    "simulate",
]
