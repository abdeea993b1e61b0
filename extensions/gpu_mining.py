"""The race of the miners on a CUDA device: the same winner as on the CPU, bit for bit.

The device tries attempts in the order of the race and reports the earliest valid one of a launch, so
launches and threads change nothing. Every nonce that it returns is checked by hashlib before it is
believed. Needs CuPy with NVIDIA's compiler for it: pip install "cupy-cuda12x[ctk]" (or 13x).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from errors import InputError
from mining import NONCE, Race, race_of_miners, target

KERNEL = Path(__file__).with_name("sha256_race.cu")
INSTALL = 'pip install "cupy-cuda12x[ctk]"'
THREADS, BLOCKS = 256, 4
"""Threads of a block, and blocks per multiprocessor: enough to keep it busy, and all of them run at once."""
FIRST_LAUNCH = 1 << 18
"""Attempts of the first launch for a block; later ones grow while they are short."""
SHORT_SECONDS = 0.1
"""A desktop stops a kernel that keeps its screen waiting for about two seconds; Ctrl-C waits too."""
NOTHING = 2**64 - 1


def find_race() -> tuple[Race, str]:
    """(race, one line about what mines): the device's race where there is one, else the CPU's."""
    try:
        import cupy

        if not cupy.cuda.runtime.getDeviceCount():
            return race_of_miners, "no CUDA device found; mining on the CPU"
        device = cupy.cuda.runtime.getDeviceProperties(0)
        race = GpuRace(cupy, BLOCKS * device["multiProcessorCount"])
        return race, f"mining on {device['name'].decode()}"
    except Exception as error:  # a driver that is missing or too old raises kinds of its own
        return race_of_miners, f"{why_not(error)}; mining on the CPU"


def why_not(error: Exception) -> str:
    """What keeps the device from mining, and what helps."""
    if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
        return f"CuPy is not installed ({INSTALL})"
    if isinstance(error, ImportError):  # its own text is a page; the cause names the library
        return f"CuPy does not load ({reason(error.__cause__ or error)})"
    if "nvrtc" in str(error).lower() and "nvrtc: error" not in str(error):
        return f"CuPy lacks NVIDIA's compiler ({INSTALL})"
    return f"no usable CUDA device ({reason(error)})"


def reason(error: BaseException) -> str:
    """The first words of what an error says."""
    lines = [line for line in str(error).splitlines() if any(map(str.isalpha, line))]
    return lines[0].strip() if lines else type(error).__name__


class GpuRace:
    """The race of one block after another on one device; called like mining.race_of_miners."""

    def __init__(self, cupy: Any, blocks: int):
        """`blocks`: how many blocks of THREADS a launch has; more than run at once would only wait."""
        self.cupy, self.blocks = cupy, blocks
        module = cupy.RawModule(code=KERNEL.read_text(encoding="utf-8"))
        self.midstates = module.get_function("midstates")
        self.attempts = module.get_function("attempts")

    def __call__(
        self, headers: list[bytes], first: int, difficulty: int, power: Sequence[int]
    ) -> tuple[int, int, int]:
        try:
            attempt = self.earliest(headers, lanes_of(first, power), difficulty)
        except Exception as error:  # memory that others hold, a driver that was reset
            told = f"the CUDA device failed ({reason(error)}); run again without --use-gpu"
            raise InputError([told]) from error
        return believed(headers, first, difficulty, power, attempt)

    def earliest(self, headers: list[bytes], lanes: dict[str, np.ndarray], difficulty: int) -> int:
        """Number of the first valid attempt, counted from 0 over all miners."""
        cp, (words, tail) = self.cupy, header_words(headers)
        miners, size = np.int32(len(headers)), np.uint64(len(lanes["miner"]))
        states = cp.asarray(np.zeros((len(headers), 8), np.uint32))
        self.midstates((len(headers),), (1,), (cp.asarray(words), miners, states))
        slots = [cp.asarray(lanes[name]) for name in ("miner", "offset", "weight")]
        tail, begin, count = cp.asarray(tail), 0, FIRST_LAUNCH
        while True:
            began, best = perf_counter(), cp.asarray(np.array([NOTHING], np.uint64))
            numbers = np.uint64(begin), np.uint64(count), np.int32(difficulty)
            self.attempts((self.blocks,), (THREADS,), (states, tail, *slots, size, *numbers, best))
            found = int(cp.asnumpy(best)[0])  # waits for the device
            if found != NOTHING:
                return found
            begin += count
            if perf_counter() - began < SHORT_SECONDS:
                count *= 2


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
        told = f"the CUDA device returned nonce {nonce}, but hashlib finds {found.hex()}"
        raise InputError([f"{told}; run again without --use-gpu"])
    return miner, nonce, attempt + 1
