"""The race of the miners for one block: every miner hashes its own header, the first valid hash wins.

Who races is told by the headers alone, so another engine (extensions/gpu_mining.py) can take its place;
the order of attempts is part of the format: docs/ledger.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

NONCE = struct.Struct("<Q")
MOST_NONCES = 2**62
ATTEMPTS_AT_ONCE = 64
"""So many attempts _one_by_one makes in one go, several short rounds together: the loop around them costs little then."""
GROUP_PAYS = 8
"""From so many attempts per group (neighbours of equal power) in a round on, _by_groups is the faster loop."""


# (headers of all miners, who begins, difficulty, hash power) -> (winner, nonce, attempts of all miners)
Race = Callable[[list[bytes], int, int, Sequence[int]], tuple[int, int, int]]
Copy = Callable[[], Any]  # of a hash that has read the fixed part of a miner's header


def target(difficulty: int) -> bytes:
    """The hash that a block must stay below to begin with `difficulty` zero digits."""
    return b"\xff" * 33 if difficulty == 0 else (1 << 256 - 4 * difficulty).to_bytes(32, "big")


def race_of_miners(
    headers: list[bytes], first: int, difficulty: int, power: Sequence[int]
) -> tuple[int, int, int]:
    """(winner, nonce, attempts of all miners) of the race for one block.

    In round k a miner with hash power w tries the nonces k w to k w + w - 1; `first` begins, the others
    follow by id, wrapping around. The state after a header's 88 fixed bytes is kept and copied, so an
    attempt hashes the nonce only. Two loops try the same nonces in the same order; each is as fast as
    hashing where the other is not.
    """
    miners = len(headers)
    order = [(first + turn) % miners for turn in range(miners)]
    goal, powers = target(difficulty), [power[miner] for miner in order]
    copies = [sha256(headers[miner]).copy for miner in order]
    groups = _neighbours_of_equal_power(copies, powers)
    long_ones = sum(powers) >= GROUP_PAYS * len(groups)
    copy, nonce = _by_groups(groups, goal) if long_ones else _one_by_one(copies, powers, goal)
    turn = copies.index(copy)
    rounds, within = divmod(nonce, powers[turn])
    return order[turn], nonce, rounds * sum(powers) + sum(powers[:turn]) + within + 1


def _neighbours_of_equal_power(
    copies: list[Copy], powers: list[int]
) -> list[tuple[int, list[Copy]]]:
    """(power, miners) of each run of miners of one power in the order of a round."""
    groups = list[tuple[int, list[Copy]]]()
    for copy, weight in zip(copies, powers, strict=True):
        if not groups or groups[-1][0] != weight:
            groups.append((weight, []))
        groups[-1][1].append(copy)
    return groups


def _by_groups(groups: list[tuple[int, list[Copy]]], goal: bytes) -> tuple[Copy, int]:
    """(miner, nonce) of the first valid hash; what several miners try is packed once."""
    pack = NONCE.pack
    for k in range(MOST_NONCES):
        for weight, copies in groups:
            if weight == 1:
                tail = pack(k)
                for copy in copies:
                    attempt = copy()
                    attempt.update(tail)
                    if attempt.digest() < goal:
                        return copy, k
                continue
            tails = list(map(pack, range(k * weight, (k + 1) * weight)))
            for copy in copies:
                for tail in tails:
                    attempt = copy()
                    attempt.update(tail)
                    if attempt.digest() < goal:
                        return copy, NONCE.unpack(tail)[0]
    raise AssertionError("unreachable: nobody tries so many nonces")


def _one_by_one(copies: list[Copy], powers: list[int], goal: bytes) -> tuple[Copy, int]:
    """The same, where groups are so small that a loop for each costs more than the hashing.

    Every attempt of a round counts nonces of its own; short rounds are strung together.
    """
    rounds, pack = max(1, ATTEMPTS_AT_ONCE // sum(powers)), NONCE.pack
    hashers, nonces = list[Copy](), list[range]()
    for k in range(rounds):
        for copy, weight in zip(copies, powers, strict=True):
            hashers += [copy] * weight
            begins = range(k * weight, (k + 1) * weight)
            nonces += [range(begin, MOST_NONCES, rounds * weight) for begin in begins]
    for turn in zip(*nonces, strict=False):
        for copy, nonce in zip(hashers, turn, strict=True):
            attempt = copy()
            attempt.update(pack(nonce))
            if attempt.digest() < goal:
                return copy, nonce
    raise AssertionError("unreachable: nobody tries so many nonces")
