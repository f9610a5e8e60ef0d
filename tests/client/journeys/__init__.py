"""Journeys: a story for every persona of the sandbox, told step by step, each step followed by what the patient sees.

`patients` tells those of the patients, `desks` those of the facilities and the people who work there; `stage` is where
they act, `eyes` how a patient looks at their own record.
"""

from .desks import DESKS
from .patients import PATIENTS
from .stage import Stage


def journeys(world):
    stage = Stage(world)
    for story in PATIENTS + DESKS:
        stage.tell(story)
    box = world.sandbox
    everybody = {p["name"] for p in box.facilities + box.practitioners + box.patients + box.apps}
    world.check("everybody in personas.json has had a story", everybody == stage.told, everybody ^ stage.told)
