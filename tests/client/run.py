#!/usr/bin/python3
"""Runs every scenario against a running sandbox: `run.py DIR [--seed N] [NAME …]`.

Prints one line a check and exits 0 when all hold, 1 when any does not.
"""

import argparse
import sys
import traceback

import apps
import cards
import jose
import journeys
import life
import paper
import races
import refusals
from world import World

SCENARIOS = {
    "life": life.whole_life,
    "cancel": life.cancellation,
    "race-accept": races.acceptances,
    "race-cancel": races.cancellations,
    "race-register": races.registrations,
    "checker": life.checker,
    "foreign": life.foreign_hands,
    "paper": paper.paper,
    "signatures": refusals.signatures,
    "contents": refusals.contents,
    "requests": refusals.requests,
    "tokens": refusals.tokens,
    "identity": refusals.identities,
    "apps": apps.apps,
    "cards": cards.cards,
    "jose": jose.jose,
    "journeys": journeys.journeys,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--seed", type=int)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SCENARIOS)}; all when none is given")
    options = parser.parse_args()
    world = World(options.directory, options.seed)
    tally = world.tally
    tally.scenario = "prepare"
    try:
        world.prepare()
    except Exception as error:
        tally.check("the sandbox answers", False, f"{error}")
        print(f"{tally.passed} passed, {tally.failed} failed")
        return 1
    tally.check("the sandbox answers", True)
    tally.note(f"seed {world.seed}, {len(world.patients)} patients verify, {len(world.drugs)} of the drugs are known")
    try:
        for name, scenario in SCENARIOS.items():
            if options.names and name not in options.names:
                continue
            tally.scenario = name
            try:
                scenario(world)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                tally.check("runs to its end", False, f"{error!r} at {where.filename.rsplit('/', 1)[-1]}:{where.lineno}")
        tally.scenario = "privacy"
        refusals.privacy(world)
    finally:
        world.tidy()
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
