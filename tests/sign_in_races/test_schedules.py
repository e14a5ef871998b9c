"""Anything that users, administrators and Apple can do, by chance, while workers are killed."""

import asyncio
import os
import random
from collections import Counter

from tests.sign_in_races.schedule import Schedule
from tests.sign_in_races.site import Site

SCHEDULES = int(os.environ.get("SCHEDULES", "100"))
"""On each arrangement of Redis, and more until some workers have died."""
KILLS = 3
AT_ONCE = 8


async def test_schedules(site: Site) -> None:
    """`SCHEDULES` says how many, `SEED` which: the same does the same, though not at the same
    moments."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
    schedules: list[Schedule] = []
    async with site.load() as load:

        async def run_some() -> None:
            while len(schedules) < SCHEDULES or killed.times < KILLS:
                schedules.append(Schedule(site, load, seed + len(schedules)))
                await schedules[-1].run()

        try:
            async with site.killing() as killed:
                await asyncio.gather(*(run_some() for _ in range(AT_ONCE)))
            for schedule in schedules:
                await schedule.check()
        finally:
            print(f"{len(schedules)} schedules, SEED={seed}, {killed.times} kills")
    print(dict(sorted(Counter(what for one in schedules for what, _ in one.story).items())))
    site.audit()
