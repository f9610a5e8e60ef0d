"""Many hands at once: acceptances, cancellation against acceptance, retries of one registration."""

import uuid
from collections import Counter

from exchange_client import business_state, exchange_number
from world import together


def acceptances(world):
    patient, drug = world.clean_pair(0)
    _, task = world.registered(0, patient, [drug])
    number = exchange_number(task)
    hands = [(p, world.identified(p, patient)) for p in world.pharmacies[:3]]
    calls = [(p, lambda p=p, i=i: p.accept(number, i)) for _ in range(8) for p, i in hands]
    answers = together([call for _, call in calls])
    by_pharmacy = {p.code: [a for (q, _), a in zip(calls, answers) if q is p] for p, _ in hands}
    winners = [code for code, list_ in by_pharmacy.items() if any(a.status == 200 for a in list_)]
    spread = Counter(a.brief() if a.status != 200 else "200" for a in answers)
    if not world.check("24 at once: exactly one pharmacy wins", len(winners) == 1, dict(spread)):
        return
    won = by_pharmacy[winners[0]]
    world.check("every call of the winner succeeds", all(a.status == 200 for a in won), dict(spread))
    world.check("every call of the winner is answered alike", len({a.body for a in won if a.status == 200}) == 1,
                f"{len({a.body for a in won})} different bodies")
    lost = [a for code, list_ in by_pharmacy.items() if code != winners[0] for a in list_]
    world.check("all others: held-by-pharmacy", all(a.status == 409 and a.codes() == ["held-by-pharmacy"] for a in lost), dict(spread))
    seen = world.clinics[0].task(task["id"]).resource()
    world.check("clinic sees the winner", winners[0] in str(seen.get("owner")) and business_state(seen) == "accepted", seen.get("owner"))
    holder = next(p for p, _ in hands if p.code == winners[0])
    returns = together([lambda: holder.give_back(task["id"])] * 4)
    done = [a for a in returns if a.status == 200]
    world.check("four returns at once: state is issued, none fails oddly", done and all(a.status in (200, 403, 404, 409) for a in returns),
                [a.brief() for a in returns])


def cancellations(world):
    patient, drug = world.clean_pair(0)
    clinic = world.clinics[0]
    hands = [(p, world.identified(p, patient)) for p in world.pharmacies]
    outcomes = Counter()
    for turn in range(8):
        pharmacy, identity = hands[turn % len(hands)]
        _, task = world.registered(0, patient, [drug])
        number = exchange_number(task)
        cancelled, accepted = together([lambda: clinic.cancel(task["id"]), lambda: pharmacy.accept(number, identity)])
        seen = clinic.task(task["id"]).resource()
        pair = (cancelled.status, accepted.status, business_state(seen))
        if cancelled.status == 200:
            ok = accepted.status in (409, 422, 429) and set(accepted.codes()) <= {"cancelled", "exchange-number-unknown", "too-many-attempts"}
            ok = ok and business_state(seen) == "cancelled"
        else:
            ok = cancelled.status == 409 and cancelled.codes() == ["held-by-pharmacy"]
            ok = ok and accepted.status == 200 and business_state(seen) == "accepted"
        outcomes[pair if not ok else ("cancelled" if cancelled.status == 200 else "accepted")] += 1
        if not ok:
            world.check("exactly one outcome", False, f"{cancelled.brief()} / {accepted.brief()} / {pair}")
        if accepted.status == 200:
            pharmacy.give_back(task["id"])
            clinic.cancel(task["id"])
    world.check("cancel against accept, 8 rounds: exactly one outcome each", set(outcomes) <= {"cancelled", "accepted"}, dict(outcomes))
    world.tally.note(f"outcomes {dict(outcomes)}")


def registrations(world):
    clinic = world.clinics[0]
    patient, drug = world.clean_pair(0)
    before = set(clinic.task_ids())

    document, key = world.prescription(0, patient, [drug]), str(uuid.uuid4())
    answers = together([lambda: clinic.register(document, key=key)] * 12)
    for task_id in {a.resource()["id"] for a in answers if a.status == 201}:
        world.open.append((0, task_id))
    spread = dict(Counter("201" if a.status == 201 else a.brief() for a in answers))
    world.check("12 with one key: all answered 201", all(a.status == 201 for a in answers), spread)
    world.check("12 with one key: one and the same answer", len({a.body for a in answers if a.status == 201}) == 1, spread)
    firsts = sum("idempotent-replay" not in a.headers for a in answers if a.status == 201)
    world.check("12 with one key: eleven are marked as replays", firsts == 1, f"{firsts} unmarked")
    during = set(clinic.task_ids())
    world.check("12 with one key: one prescription", len(during - before) == 1, len(during - before))

    document = world.prescription(0, patient, [drug])
    answers = together([lambda: clinic.register(document)] * 12)
    for answer in answers:
        world.remember(0, answer)
    spread = dict(Counter("201" if a.status == 201 else a.brief() for a in answers))
    world.check("12 without a key: one 201", sum(a.status == 201 for a in answers) == 1, spread)
    refused = [a for a in answers if a.status != 201]
    world.check("12 without a key: eleven duplicate-document", len(refused) == 11
                and all(a.status == 409 and a.codes() == ["duplicate-document"] for a in refused), spread)
    world.check("12 without a key: one prescription", len(set(clinic.task_ids()) - during) == 1)

    documents = [world.prescription(0, patient, [drug]) for _ in range(12)]
    key = str(uuid.uuid4())
    answers = together([lambda d=d: clinic.register(d, key=key) for d in documents])
    for answer in answers:
        world.remember(0, answer)
    spread = dict(Counter("201" if a.status == 201 else a.brief() for a in answers))
    world.check("12 documents under one key: one 201, eleven idempotency-key-reused", sum(a.status == 201 for a in answers) == 1
                and sum("idempotency-key-reused" in a.codes() for a in answers) == 11, spread)
