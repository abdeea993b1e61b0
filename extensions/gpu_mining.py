"""The race of the miners on a CUDA device: the same winner as on the CPU, bit for bit.

The device tries attempts in the order of the race and reports the earliest valid one of a batch, so
batches and threads change nothing. Every nonce that it returns is checked by hashlib before it is
believed. Needs CuPy: pip install cupy-cuda12x (or cupy-cuda13x).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from blockchain import NONCE, Race, race_of_miners, target

KERNEL = Path(__file__).with_name("sha256_race.cu")
THREADS = 256
SMALLEST_BATCH, LARGEST_BATCH = 1 << 16, 1 << 30
NOTHING = 2**64 - 1


def find_race() -> tuple[Race, str]:
    """(race, one line about what mines): the device's race where there is one, else the CPU's."""
    try:
        import cupy

        if not cupy.cuda.runtime.getDeviceCount():
            return race_of_miners, "no CUDA device found; mining on the CPU"
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        return GpuRace(cupy), f"mining on {name}"
    except ImportError:
        return race_of_miners, "CuPy is not installed (pip install cupy-cuda12x); mining on the CPU"
    except Exception as error:  # a driver that is missing or too old raises kinds of its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return race_of_miners, f"no usable CUDA device ({reason}); mining on the CPU"


class GpuRace:
    """The race of one block after another on one device; called like blockchain.race_of_miners."""

    def __init__(self, cupy: Any):
        self.cupy = cupy
        module = cupy.RawModule(code=KERNEL.read_text(encoding="utf-8"))
        self.midstates, self.attempts = (
            module.get_function("midstates"),
            module.get_function("attempts"),
        )

    def __call__(
        self, headers: list[bytes], first: int, difficulty: int, power: Sequence[int]
    ) -> tuple[int, int, int]:
        cp, lanes = self.cupy, lanes_of(first, power)
        blocks, tail = header_words(headers)
        states = cp.empty((len(headers), 8), cp.uint32)
        self.midstates((len(headers),), (1,), (cp.asarray(blocks), np.int32(len(headers)), states))
        slots = [cp.asarray(lanes[name]) for name in ("miner", "offset", "weight")]
        tail, size = cp.asarray(tail), np.uint64(len(lanes["miner"]))
        batch = min(max(4 * 16**difficulty, SMALLEST_BATCH), LARGEST_BATCH)
        begin = 0
        while True:
            best = cp.full(1, NOTHING, cp.uint64)
            count = np.uint64(batch)
            grid = min((batch + THREADS - 1) // THREADS, 1 << 16)
            arguments = (
                states,
                tail,
                *slots,
                size,
                np.uint64(begin),
                count,
                np.int32(difficulty),
                best,
            )
            self.attempts((grid,), (THREADS,), arguments)
            found = int(best[0])
            if found != NOTHING:
                return believed(headers, first, difficulty, power, found)
            begin += batch


def lanes_of(first: int, power: Sequence[int]) -> dict[str, np.ndarray]:
    """Who makes each attempt of a round: miner, its nonce's offset in the round, its hash power."""
    order = [(first + turn) % len(power) for turn in range(len(power))]
    weights = np.array([power[m] for m in order])
    offsets = np.arange(weights.sum()) - np.repeat(np.cumsum(weights) - weights, weights)
    return {
        "miner": np.repeat(order, weights).astype(np.int32),
        "offset": offsets.astype(np.uint64),
        "weight": np.repeat(weights, weights).astype(np.uint64),
    }


def header_words(headers: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Big-endian words of each header's first 64 bytes (miners, 16), and of the 24 all of them share (6)."""
    blocks = np.frombuffer(b"".join(header[:64] for header in headers), ">u4").reshape(-1, 16)
    return blocks.astype(np.uint32), np.frombuffer(headers[0][64:88], ">u4").astype(np.uint32)


def believed(
    headers: list[bytes], first: int, difficulty: int, power: Sequence[int], attempt: int
) -> tuple[int, int, int]:
    """(winner, nonce, attempts) of the device's attempt, if hashlib agrees that it is valid."""
    lanes = lanes_of(first, power)
    done, slot = divmod(attempt, len(lanes["miner"]))
    miner = int(lanes["miner"][slot])
    nonce = done * int(lanes["weight"][slot]) + int(lanes["offset"][slot])
    found = sha256(headers[miner] + NONCE.pack(nonce)).digest()
    if found >= target(difficulty):
        raise RuntimeError(f"the device returned nonce {nonce}, whose hash is {found.hex()}")
    return miner, nonce, attempt + 1
