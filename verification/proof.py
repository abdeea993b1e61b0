"""A proof that one trade stands on the chain: its record, its path to the root, the headers to the tip.

Whoever holds the proof and knows the tip needs nothing else of the chain. The path is that of RFC 6962,
section 2.1.1; check names the first step that fails.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from verification.chain import HASH_TEXT, HEADER_START, NONCE, RECORD, TRANSACTION, merkle_root
from verification.read import Unreadable, strict_object

FORMAT = "proof of a trade, 1"
LARGEST_BYTES = 1 << 28
HEADER_NUMBERS = ("version", "height", "timestep", "miner", "difficulty", "transactions")
HEADER_KEYS = {*HEADER_NUMBERS, "previous_hash", "merkle_root", "nonce", "block_hash"}
PROOF_KEYS = {"format", "tx_id", "record", "leaf", "audit_path", "headers"}
RECORD_KEYS = TRANSACTION[1:]


class Refuted(Exception):
    """A step of the check that failed: its name and what was found."""

    def __init__(self, step: str, detail: str):
        super().__init__(f"{step}: {detail}")
        self.step, self.detail = step, detail


# ---------------------------------------------------------------- make


def make_proof(folder: Path, trade_id: int) -> dict[str, Any]:
    """The proof for one trade of a saved folder; Unreadable where there is no such trade."""
    chain = _read_json(folder / "blockchain.json", 1 << 34)
    try:
        blocks, version = chain["blocks"], chain["version"]
        for height, block in enumerate(blocks):
            ids = [transaction["trade_id"] for transaction in block["transactions"]]
            if trade_id in ids:
                return _proof_of(blocks[height:], version, ids.index(trade_id))
        count = sum(len(block["transactions"]) for block in blocks)
    except (KeyError, TypeError, IndexError, AttributeError):
        raise Unreadable([f"{folder / 'blockchain.json'}: does not read as a chain"]) from None
    raise Unreadable([f"trade {trade_id} is not on the chain of {folder}; it holds {count} trades"])


def _proof_of(blocks: Sequence[dict[str, Any]], version: int, leaf: int) -> dict[str, Any]:
    transactions = blocks[0]["transactions"]
    leaves = [sha256(b"\x00" + _record(transaction)).digest() for transaction in transactions]
    return {
        "format": FORMAT,
        "tx_id": transactions[leaf]["tx_id"],
        "record": {name: transactions[leaf][name] for name in RECORD_KEYS},
        "leaf": leaf,
        "audit_path": [node.hex() for node in audit_path(leaves, leaf)],
        "headers": [_header(block, version) for block in blocks],
    }


def _header(block: dict[str, Any], version: int) -> dict[str, Any]:
    header = {"version": version, "transactions": len(block["transactions"])}
    return {
        name: header.get(name, block.get(name)) for name in (*HEADER_NUMBERS, "previous_hash")
    } | {name: block[name] for name in ("merkle_root", "nonce", "block_hash")}


def audit_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The nodes that lead from one leaf hash to the root, from the leaf upwards."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*audit_path(leaves[:split], index), merkle_root(leaves[split:])]
    return [*audit_path(leaves[split:], index - split), merkle_root(leaves[:split])]


# ---------------------------------------------------------------- check


def check_proof(path: Path, tip: str | None = None) -> dict[str, Any]:
    """What the proof shows, after every step has passed; raises Refuted, or Unreadable for the file."""
    proof = _read_json(path, LARGEST_BYTES)
    _demand_form(path, proof)
    record, headers = proof["record"], proof["headers"]
    packed = _record(record)
    _demand(sha256(packed).hexdigest() == proof["tx_id"], "tx_id", "the record has another hash")
    first = headers[0]
    _demand(record["timestep"] == first["timestep"], "timestep", "the block is of another step")
    _demand(
        0 <= proof["leaf"] < first["transactions"],
        "leaf",
        f"{proof['leaf']} of {first['transactions']}",
    )
    nodes = [bytes.fromhex(node) for node in proof["audit_path"]]
    root = root_of_path(packed, proof["leaf"], first["transactions"], nodes)
    _demand(
        root == first["merkle_root"],
        "audit path",
        f"leads to {root}, the header says {first['merkle_root']}",
    )
    for before, header in zip([None, *headers], headers, strict=False):
        _check_header(before, header)
    found = headers[-1]["block_hash"]
    _demand(
        tip is None or tip.lower() == found, "tip", f"the proof ends at {found}, asked for {tip}"
    )
    return {"record": record, "height": first["height"], "headers": len(headers), "tip": found} | {
        "difficulty": min(header["difficulty"] for header in headers)
    }


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


def _check_header(before: dict[str, Any] | None, header: dict[str, Any]) -> None:
    where = f"block {header['height']}"
    if before is not None:
        _demand(
            header["previous_hash"] == before["block_hash"],
            "link",
            f"{where} does not follow its predecessor",
        )
        _demand(
            header["height"] == before["height"] + 1,
            "height",
            f"{where} after block {before['height']}",
        )
        for name in ("version", "difficulty"):
            _demand(
                header[name] == before[name],
                name,
                f"{where} has another {name} than the block before",
            )
        _demand(header["timestep"] >= before["timestep"], "timestep", f"{where} goes back in time")
    start = HEADER_START.pack(
        *(header[name] for name in HEADER_NUMBERS),
        bytes.fromhex(header["previous_hash"]),
        bytes.fromhex(header["merkle_root"]),
    )
    found = sha256(start + NONCE.pack(header["nonce"])).hexdigest()
    _demand(found == header["block_hash"], "block hash", f"{where} hashes to {found}")
    zeros = "0" * header["difficulty"]
    _demand(
        found.startswith(zeros),
        "proof of work",
        f"{where} lacks its {header['difficulty']} zero digits",
    )


def _demand(holds: bool, step: str, detail: str) -> None:
    if not holds:
        raise Refuted(step, detail)


# ---------------------------------------------------------------- form


def _demand_form(path: Path, proof: Any) -> None:
    """Raises Unreadable unless the file has the members of a proof, of their types and ranges."""
    problems = []
    if not isinstance(proof, dict) or set(proof) != PROOF_KEYS or proof["format"] != FORMAT:
        raise Unreadable([f"{path}: is not a proof as `python main.py proof` prints it"])
    record, headers = proof["record"], proof["headers"]
    if (
        not isinstance(record, dict)
        or set(record) != set(RECORD_KEYS)
        or not _packs(_record, record)
    ):
        problems.append(f"{path}: its record is not that of a trade")
    if not isinstance(headers, list) or not headers or not all(map(_is_header, headers)):
        problems.append(f"{path}: its headers are not those of blocks")
    if not isinstance(proof["audit_path"], list) or not all(map(_is_hash, proof["audit_path"])):
        problems.append(f"{path}: its audit_path is not a list of hashes")
    if type(proof["leaf"]) is not int or not _is_hash(proof["tx_id"]):
        problems.append(f"{path}: its leaf or tx_id is not what it should be")
    if problems:
        raise Unreadable(problems)


def _is_hash(text: Any) -> bool:
    return isinstance(text, str) and HASH_TEXT.fullmatch(text) is not None


def _is_header(header: Any) -> bool:
    if not isinstance(header, dict) or set(header) != HEADER_KEYS:
        return False
    numbers = [header[name] for name in HEADER_NUMBERS]
    if not all(type(value) is int and 0 <= value < 2**32 for value in numbers):
        return False
    hashes = ("previous_hash", "merkle_root", "block_hash")
    nonce = header["nonce"]
    return (
        all(_is_hash(header[name]) for name in hashes) and type(nonce) is int and 0 <= nonce < 2**64
    )


def _record(transaction: dict[str, Any]) -> bytes:
    return RECORD.pack(*(transaction[name] for name in RECORD_KEYS))


def _packs(pack: Any, record: dict[str, Any]) -> bool:
    try:
        pack(record)
    except Exception:  # struct raises kinds of its own for numbers out of range
        return False
    return all(type(value) is int for value in record.values())


def _read_json(path: Path, largest: int) -> Any:
    try:
        if path.stat().st_size > largest:
            raise Unreadable([f"{path}: {path.stat().st_size:,} bytes; allowed are {largest:,}"])
        return json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=strict_object)
    except OSError as error:
        raise Unreadable([f"{path}: {error.strerror or error}"]) from None
    except (ValueError, RecursionError) as error:
        raise Unreadable([f"{path}: is not JSON ({error})"]) from None
