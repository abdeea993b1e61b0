"""Expected and measured work per block for difficulty 2 to 6, as the table of docs/ledger.md.

python benchmarks/difficulty.py            about a minute
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from blockchain import Draft, race_of_miners

MINERS = 15
BLOCKS = {2: 400, 3: 200, 4: 100, 5: 30, 6: 6}


def work(difficulty: int, blocks: int) -> tuple[float, float]:
    """(attempts, seconds) per block, averaged over a chain of `blocks`."""
    tried, previous = 0, bytes(32)
    began = time.perf_counter()
    for height in range(1, blocks + 1):
        draft = Draft(1, height, 0, previous, (bytes([difficulty]) * 37,))
        headers = [draft.header(miner, difficulty) for miner in range(MINERS)]
        miner, nonce, attempts = race_of_miners(headers, height % MINERS, difficulty, [1] * MINERS)
        previous = draft.sealed(miner, difficulty, nonce, attempts).block_hash
        tried += attempts
    return tried / blocks, (time.perf_counter() - began) / blocks


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Work per block for each difficulty, as a Markdown table.",
        epilog="example: python benchmarks/difficulty.py --most 5",
    )
    parser.add_argument(
        "--most", type=int, default=6, choices=BLOCKS, help="highest difficulty (default: 6)"
    )
    most = parser.parse_args().most
    print("| difficulty | blocks | expected attempts | measured | seconds per block |")
    print("|---:|---:|---:|---:|---:|")
    for difficulty, blocks in BLOCKS.items():
        if difficulty <= most:
            attempts, seconds = work(difficulty, blocks)
            print(
                f"| {difficulty} | {blocks} | {16**difficulty:,} | {attempts:,.0f} | {seconds:.4g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
