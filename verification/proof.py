"""A proof that one trade stands on the chain: its record, its path to the root, the headers to the tip.

Whoever holds the proof and knows the tip needs nothing else of the chain. The path is that of RFC 6962,
section 2.1.1; check names the first step that fails.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from verification.blocks import LARGEST_BLOCK, Block, largest_chain, read_blocks
from verification.chain import HASH_TEXT, HEADER_START, NONCE, merkle_root
from verification.findings import Findings, Progress, Unreadable, show, silent
from verification.json_stream import as_dict
from verification.read import Reader, no_cycle_search
from verification.transactions import NAMES, RECORD, TRADE_KINDS

FORMAT = "proof of a trade, 1"
MOST_HEADERS = 2**18
LARGEST_HEADER = 2**16  # characters, however much space stands between them
LARGEST_BYTES = 2**10 * MOST_HEADERS  # a header takes half of it, with every number at its longest
NO_HEADERS = "its headers are not those of blocks"
LARGEST_LONE_CHAIN = 2**28  # bytes of a blockchain.json that has no all_trades.csv beside it
MOST_ZEROS = 64  # hexadecimal digits of a hash
AGGREGATOR = -1
HEADER_NUMBERS = ("version", "height", "timestep", "miner", "difficulty", "transactions")
HEADER_HASHES = ("previous_hash", "merkle_root", "block_hash")
HEADER_KEYS = {*HEADER_NUMBERS, *HEADER_HASHES, "nonce"}
PROOF_KEYS = {"format", "tx_id", "record", "leaf", "audit_path", "headers"}
RECORD_KEYS = NAMES[1:]


class Refuted(Exception):
    """A step of the check that failed: its name and what was found."""

    def __init__(self, step: str, detail: str):
        super().__init__(f"{step}: {detail}")
        self.step, self.detail = step, detail


# ---------------------------------------------------------------- make


@no_cycle_search()
def make_proof(
    folder: Path, trade_id: int, tip: str | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """The proof for one trade of a saved folder; raises Refuted where it would not pass its check, and
    where the chain is empty.

    Unreadable where the chain does not read as one, or has no such trade. `progress` is told what is
    being done and which share of it.
    """
    version, blocks = _read_chain(Path(folder), progress)
    _demand(bool(blocks), "chain", "has no blocks")
    found = [
        (height, leaf)
        for height, block in enumerate(blocks)
        for leaf in block.transactions.places_of(trade_id)
    ]
    if not found:
        count = sum(len(block.transactions) for block in blocks)
        told = f"trade {trade_id} is not on the chain of {folder}; it holds {count} trades"
        raise Unreadable([told])
    _demand(len(found) == 1, "trade once", f"stands on the chain {len(found)} times")
    height, leaf = found[0]
    proof = _proof_of(blocks[height:], version, leaf)
    _demand_form(f"{folder}: trade {trade_id}", proof)
    _demand_steps(proof, tip)
    return proof


def _read_chain(folder: Path, progress: Progress) -> tuple[int, list[Block]]:
    """The version of a folder's chain and its blocks, read as strictly as verify reads them."""
    reader = Reader(folder, Findings(), partial(progress, "reading"))
    reader.demand_folder()
    if reader.exists("params.json") and not reader.exists("blockchain.json"):
        told = "blockchain.json: missing; a run without ledger (CONSENSUS none) proves no trade"
        raise Unreadable([told])
    trades_bytes = reader.size("all_trades.csv")
    largest = largest_chain(trades_bytes) if trades_bytes else LARGEST_LONE_CHAIN
    largest_block = LARGEST_BLOCK + min(largest, 16 * trades_bytes or LARGEST_BLOCK)
    head, blocks = read_blocks(reader, largest, largest_block)
    reader.raise_problems()
    return head["version"], blocks


def _proof_of(blocks: Sequence[Block], version: int, leaf: int) -> dict[str, Any]:
    """The proof for one transaction of the first of these blocks; they reach to the tip."""
    transactions = blocks[0].transactions
    leaves = []
    for place, record in enumerate(transactions.each_record()):
        if not record:
            told = f"no record of 37 bytes holds {show(transactions[place].numbers)}"
            raise Unreadable([f"blockchain.json: block {blocks[0].height}: {told}"])
        leaves.append(sha256(b"\x00" + record).digest())
    return {
        "format": FORMAT,
        "tx_id": transactions[leaf].tx_id,
        "record": dict(zip(RECORD_KEYS, transactions[leaf].numbers, strict=True)),
        "leaf": leaf,
        "audit_path": [node.hex() for node in audit_path(leaves, leaf)],
        "headers": [_header(block, version) for block in blocks],
    }


def _header(block: Block, version: int) -> dict[str, Any]:
    beside = {"version": version, "transactions": len(block.transactions)}
    names = (*HEADER_NUMBERS, "previous_hash", "merkle_root", "nonce", "block_hash")
    return {name: beside[name] if name in beside else getattr(block, name) for name in names}


def audit_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The nodes that lead from one leaf hash to the root, from the leaf upwards."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*audit_path(leaves[:split], index), merkle_root(leaves[split:])]
    return [*audit_path(leaves[split:], index - split), merkle_root(leaves[:split])]


# ---------------------------------------------------------------- check


@no_cycle_search()
def check_proof(path: Path, tip: str | None = None, progress: Progress = silent) -> dict[str, Any]:
    """What the proof shows, after every step has passed; raises Refuted, or Unreadable for the file."""
    reader, headers = Reader(Path(), Findings(), partial(progress, "reading")), list[Any]()

    def take(header: Any) -> bool:
        headers.append(as_dict(header))
        return _is_header(headers[-1]) and len(headers) <= MOST_HEADERS

    proof = reader.object(str(path), LARGEST_BYTES, "headers", LARGEST_HEADER, take)
    reader.raise_problems()
    if proof is None:
        many = f"more headers than the {MOST_HEADERS:,} that a proof can have"
        raise Unreadable([f"{path}: {many if _is_header(headers[-1]) else NO_HEADERS}"])
    if proof.get("headers") == []:
        proof["headers"] = headers
    _demand_form(str(path), proof)
    return _demand_steps(proof, tip)


def _demand_steps(proof: dict[str, Any], tip: str | None) -> dict[str, Any]:
    """What a proof in its form shows; raises Refuted at the first step that fails."""
    record, leaf, headers = proof["record"], proof["leaf"], proof["headers"]
    first, packed = headers[0], _record(record)
    _demand(sha256(packed).hexdigest() == proof["tx_id"], "tx_id", "the record has another hash")
    _demand_trade(record)
    _demand(record["timestep"] == first["timestep"], "timestep", "the block is of another step")
    _demand(first["height"] > 0, "height", "block 0 holds no trades")
    size = first["transactions"]
    _demand(0 <= leaf < size, "leaf", f"{show(leaf)} of {size}")
    nodes = [bytes.fromhex(node) for node in proof["audit_path"]]
    root, told = root_of_path(packed, leaf, size, nodes), first["merkle_root"]
    _demand(root == told, "audit path", f"leads to {root or 'no root'}, the header says {told}")
    for before, header in zip([None, *headers], headers, strict=False):
        if before is not None:
            _demand_link(before, header)
        _demand_seal(header)
    found = headers[-1]["block_hash"]
    asked = found if tip is None else tip.strip().lower()
    _demand(asked == found, "tip", f"the proof ends at {found}, asked for {show(asked)}")
    hashes = sum(16 ** header["difficulty"] for header in headers if header["version"] == 1)
    shown = {"record": record, "height": first["height"], "headers": len(headers), "tip": found}
    return shown | {"hashes": hashes}  # the work that these headers are expected to have taken


def _demand_trade(record: dict[str, Any]) -> None:
    """The record is one of a trade: something is sold, by somebody to somebody else."""
    kind, energy, price = (record[name] for name in ("kind", *RECORD_KEYS[-2:]))
    parties = record["buyer_id"], record["seller_id"]
    _demand(kind in TRADE_KINDS.values(), "kind", f"{kind} is none of a trade")
    _demand(energy > 0, "energy", f"is {energy} Wh")
    _demand(price >= 0, "price", f"is {price} micro-euro per kWh")
    members = sum(party > AGGREGATOR for party in parties)
    aggregators = kind == TRADE_KINDS["local_market"]
    known = min(parties) >= AGGREGATOR and members == 2 - aggregators
    told = "buyer {} and seller {} cannot trade so".format(*parties)
    _demand(known and parties[0] != parties[1], "parties", told)


def root_of_path(record: bytes, index: int, size: int, path: Sequence[bytes]) -> str:
    """The root that a leaf and its path lead to, hex; "" where the path has the wrong length."""
    node, last = sha256(b"\x00" + record).digest(), size - 1
    for other in path:
        if last == 0:
            return ""
        if index % 2 or index == last:
            node = sha256(b"\x01" + other + node).digest()
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b"\x01" + node + other).digest()
        index, last = index >> 1, last >> 1
    return node.hex() if last == 0 else ""


def _demand_link(before: dict[str, Any], header: dict[str, Any]) -> None:
    """A header follows the one before."""
    where = f"block {header['height']}"
    linked = header["previous_hash"] == before["block_hash"]
    _demand(linked, "link", f"{where} does not follow its predecessor")
    higher = header["height"] == before["height"] + 1
    _demand(higher, "height", f"{where} after block {before['height']}")
    for name in ("version", "difficulty"):
        told = f"{where} has another {name} than the block before"
        _demand(header[name] == before[name], name, told)
    _demand(header["timestep"] >= before["timestep"], "timestep", f"{where} goes back in time")


def _demand_seal(header: dict[str, Any]) -> None:
    """A header has the hash that it says, the work that its version demands, and trades."""
    where = f"block {header['height']}"
    _demand(
        header["transactions"] > 0, "transactions", f"{where} holds none, and would not be mined"
    )
    version, difficulty = header["version"], header["difficulty"]
    _demand(version in (1, 2), "version", f"{where} has version {version}")
    start = HEADER_START.pack(
        *(header[name] for name in HEADER_NUMBERS),
        bytes.fromhex(header["previous_hash"]),
        bytes.fromhex(header["merkle_root"]),
    )
    found = sha256(start + NONCE.pack(header["nonce"])).hexdigest()
    _demand(found == header["block_hash"], "block hash", f"{where} hashes to {found}")
    if version == 1:
        told = f"{where} lacks its {difficulty} zero digits"
        _demand(found.startswith("0" * difficulty), "proof of work", told)
    else:
        told = f"{where} has difficulty {difficulty} and nonce {header['nonce']}, expected 0"
        _demand(difficulty == 0 and header["nonce"] == 0, "stake", told)


def _demand(holds: bool, step: str, detail: str) -> None:
    if not holds:
        raise Refuted(step, detail)


# ---------------------------------------------------------------- form


def _demand_form(where: str, proof: Any) -> None:
    """Raises Unreadable unless this has the fields of a proof, of their types and ranges."""
    if type(proof) is not dict or set(proof) != PROOF_KEYS or proof["format"] != FORMAT:
        raise Unreadable([f"{where}: is not a proof as `python main.py proof` prints it"])
    record, headers, nodes = proof["record"], proof["headers"], proof["audit_path"]
    problems = []
    if type(record) is not dict or set(record) != set(RECORD_KEYS) or not _packs(record):
        problems.append(f"{where}: its record is not that of a trade")
    if type(headers) is not list or not headers or not all(map(_is_header, headers)):
        problems.append(f"{where}: {NO_HEADERS}")
    elif len(headers) > MOST_HEADERS:  # of a proof about to be made
        problems.append(f"{where}: {len(headers):,} headers, a proof has at most {MOST_HEADERS:,}")
    if type(nodes) is not list or not all(map(_is_hash, nodes)):
        problems.append(f"{where}: its audit_path is not a list of hashes")
    if type(proof["leaf"]) is not int or not _is_hash(proof["tx_id"]):
        problems.append(f"{where}: its leaf or tx_id is not what it should be")
    if problems:
        raise Unreadable(problems)


def _is_hash(text: Any) -> bool:
    return type(text) is str and HASH_TEXT.fullmatch(text) is not None


def _is_header(header: Any) -> bool:
    if type(header) is not dict or set(header) != HEADER_KEYS:
        return False
    limits = dict.fromkeys(HEADER_NUMBERS, 2**32) | {"difficulty": MOST_ZEROS + 1, "nonce": 2**64}
    numbers = [(header[name], limit) for name, limit in limits.items()]
    return all(_is_hash(header[name]) for name in HEADER_HASHES) and all(
        type(value) is int and 0 <= value < limit for value, limit in numbers
    )


def _record(transaction: dict[str, Any]) -> bytes:
    return RECORD.pack(*(transaction[name] for name in RECORD_KEYS))


def _packs(record: dict[str, Any]) -> bool:
    """Whether 37 bytes hold these numbers; True is none."""
    try:
        _record(record)
    except struct.error:
        return False
    return all(type(value) is int for value in record.values())
