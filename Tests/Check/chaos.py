"""Chaos runs: a fault while pgcheck works, then the verdict. bin/chaos K6 K9 --seconds 60"""

import argparse
import sys
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "Integration")]

import chaos_clients  # noqa: E402
import chaos_pooler  # noqa: E402
import chaos_servers  # noqa: E402
from ground import Ground  # noqa: E402

RUNS = {
    "K1": chaos_servers.kill_backends,
    "K2": chaos_servers.restart,
    "K6": chaos_clients.resets,
    "K8": chaos_clients.both_full,
    "K9": chaos_clients.byte_at_a_time,
    "K10": chaos_clients.huge,
    "K11": chaos_pooler.out_of_files,
    "K13": chaos_pooler.log_targets,
    "K14": chaos_pooler.reload_storm,
    "K15": chaos_pooler.broken_reloads,
    "K22": chaos_clients.cancel_storm,
    "K24": chaos_clients.impatient,
    "K27": chaos_servers.hostile,
}


def main():
    """Run those named, each on its own ground; exit status 1 when any failed."""
    parser = argparse.ArgumentParser(prog="chaos", formatter_class=argparse.RawTextHelpFormatter, epilog="\n".join(
        f"{name:4} {run.__doc__.splitlines()[0]}" for name, run in RUNS.items()
    ), description="Chaos runs. PGLIDO=/path/to/binary names the pooler.")
    parser.add_argument("runs", nargs="+", choices=[*RUNS, "all"])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--mode", choices=["session", "transaction", "statement"], default="transaction")
    options = parser.parse_args()
    failed = 0
    for name in RUNS if "all" in options.runs else options.runs:
        ground, began = Ground(options.mode), time.monotonic()
        try:
            said = RUNS[name](ground, options.seconds)
            verdict = "passed"
        except Exception as problem:  # whatever it is, the next run must have its turn
            said, verdict = f"{type(problem).__name__}: {problem}", "FAILED"
            if not isinstance(problem, AssertionError):
                traceback.print_exc()
            failed += 1
        finally:
            ground.close()
        print(f"{name:4} {options.mode} {verdict} in {time.monotonic() - began:.0f} s: {said}", flush=True)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
