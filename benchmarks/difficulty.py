"""Expected and measured work per block for each difficulty, as the table of docs/ledger.md.

python benchmarks/difficulty.py                      difficulty 2 to 6 on one core, about a minute
python benchmarks/difficulty.py --use-gpu --most 8   on a CUDA device
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from blockchain import Draft, merkle_root
from guard import guarded
from mining import Race, race_of_miners
from terminal import progress

MINERS = 15
SLOW = 5  # difficulty from which on a chain takes seconds
BLOCKS = {2: 400, 3: 200, 4: 100, 5: 30, 6: 6, 7: 4, 8: 4}


def work(
    race: Race, difficulty: int, blocks: int, done: Callable[[int], None] = lambda height: None
) -> tuple[float, float]:
    """(attempts, seconds) per block, averaged over a chain of `blocks`; done(height) after each."""
    tried, previous, records = 0, bytes(32), (bytes([difficulty]) * 37,)
    began = time.perf_counter()
    for height in range(1, blocks + 1):
        draft = Draft(1, height, 0, previous, merkle_root(records), records)
        headers = [draft.header(miner, difficulty) for miner in range(MINERS)]
        miner, nonce, attempts = race(headers, height % MINERS, difficulty, [1] * MINERS)
        previous = draft.sealed(miner, difficulty, nonce, attempts).block_hash
        tried += attempts
        done(height)
    return tried / blocks, (time.perf_counter() - began) / blocks


def bar(advance: Callable[[str, int, int], None], difficulty: int, height: int) -> None:
    advance(f"difficulty {difficulty}", height, BLOCKS[difficulty])


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Work per block for each difficulty, as a Markdown table.",
        epilog="example: python benchmarks/difficulty.py --most 5",
    )
    parser.add_argument(
        "--most",
        type=int,
        default=6,
        choices=BLOCKS,
        help="highest difficulty (default: 6; a block of 7 takes a core 1.5 minutes, one of 8 takes 24)",
    )
    parser.add_argument(
        "--use-gpu", action="store_true", help="on a CUDA device where there is one"
    )
    options = parser.parse_args()
    race: Race = race_of_miners
    if options.use_gpu:
        from extensions.gpu_mining import find_race

        race, told = find_race()
        print(told, file=sys.stderr)
        work(race, 2, 1)  # the driver compiles and loads the kernel once
    print("| difficulty | blocks | expected attempts | measured | seconds per block | million/s |")
    print("|---:|---:|---:|---:|---:|---:|")
    for difficulty, blocks in BLOCKS.items():
        if difficulty <= options.most:
            with progress(quiet=difficulty < SLOW) as advance:  # a bar takes time, too
                attempts, seconds = work(
                    race, difficulty, blocks, partial(bar, advance, difficulty)
                )
            figures = f"{16**difficulty:,} | {attempts:,.0f} | {seconds:.4g}"
            rate = attempts / seconds / 1e6
            print(f"| {difficulty} | {blocks} | {figures} | {rate:,.2f} |", flush=True)


if __name__ == "__main__":
    sys.exit(guarded(main))
