"""Send messages over all kinds of sockets for as long as you like, with faults, and account for each of them.

    python -m tools.soak 20              20 minutes: engines in simulated time; threads and tasks on a VirtualBus
    tools/kernel-run --vm --cpus 1 --timeout 1800 -- .venv/bin/python -m tools.soak 20 --interface vcan0
                                         sockets of the kernel and SoftSocket on vcan0, which goes down now and then

`make soak MINUTES=20` does both. Several processes share the work, and an interface. Each message has to arrive as it
was sent, or its failure has to be told and has to have a cause that we know; threads, descriptors and memory have to
stay as they are. The exit status is 1 if anything is unexplained. The seed that is printed repeats messages, options
and faults, not the scheduling.
"""

import argparse
import json
import multiprocessing
import random
import sys
from ctypes import c_double

from .parts import Outages, run, share


def main() -> int:
    """Run all processes; exit status: 0 if everything is explained."""
    parser = argparse.ArgumentParser(
        prog="tools/soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("minutes", type=float)
    parser.add_argument("--interface", help="a vcan of your own for this: it is set down and up")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    seeds = random.Random(args.seed)
    parts = ["kernel", "soft"] if args.interface else ["engines", "soft"]
    work = [(part, args.interface, seeds.randrange(1 << 32), args.minutes * 60) for part in parts]
    spawn = multiprocessing.get_context("spawn")
    outage = spawn.RawArray(c_double, 2)
    with spawn.Pool(len(work), share, (outage,)) as pool:
        results = pool.map_async(run, work, chunksize=1)
        Outages(args.interface, outage).run(results.ready)
    unexplained = 0
    for part, record in zip(parts, results.get(), strict=True):
        print(f"\n{part}: {json.dumps(dict(sorted(record.counts.items())))}", *record.unexplained, sep="\n  ")
        unexplained += record.counts["unexplained"]
    print(f"\n{unexplained} unexplained")
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
