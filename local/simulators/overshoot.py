"""Overshoot as a whole: v1beta and v0.2 behind one door, with the same keys."""

from local.door import Action, Clock
from local.simulators.base import door_of
from local.simulators.overshoot_common import Team
from local.simulators.overshoot_v02 import V02
from local.simulators.overshoot_v1beta import V1Beta


class Overshoot:
    def __init__(self, clock: Clock) -> None:
        self.team = Team()
        self.settings = self.team.settings
        self.v1beta, self.v02 = V1Beta(clock, self.team), V02(clock, self.team)
        told: list[Action] = [self.v1beta.send_frame, self.v1beta.end_stream, self.v02.set_state]
        actions: list[Action] = [self.team.set_credits, *told]
        self.door = door_of("overshoot", clock, [self.v1beta, self.v02], self.settings, actions)
