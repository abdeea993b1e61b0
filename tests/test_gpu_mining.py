"""Mining on a CUDA device finds what the CPU finds; without a device the kernel is tried as plain C."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import save_run

from blockchain import Draft, race_of_miners
from extensions import gpu_mining

HOST = """
#define HOST_TEST
#define __device__
#define __constant__
#define __global__
struct dim {{ unsigned int x; }};
static struct dim blockIdx, threadIdx, blockDim = {{1}}, gridDim = {{1}};
static void atomicMin(unsigned long long *best, unsigned long long value)
{{ if (value < *best) *best = value; }}
{kernel}
"""


def headers_of_block(height: int, miners: int) -> list[bytes]:
    draft = Draft(1, height, 3, bytes(range(32)), (bytes([height]) * 37,))
    return [draft.header(miner, 2) for miner in range(miners)]


@pytest.fixture(scope="module")
def kernel_on_host(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The device's source compiled by a C compiler, one thread."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    folder = tmp_path_factory.mktemp("kernel")
    text = gpu_mining.KERNEL.read_text(encoding="utf-8").replace('extern "C"', "")
    (folder / "race.c").write_text(HOST.format(kernel=text))
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", "race.so", "race.c"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return ctypes.CDLL(str(folder / "race.so"))


def race_on_host(library: ctypes.CDLL, height: int, power: list[int], difficulty: int) -> tuple:
    """What GpuRace does with the device, done with the compiled kernel."""
    headers, first = headers_of_block(height, len(power)), height % len(power)
    blocks, tail = gpu_mining.header_words(headers)
    states, best = np.zeros((len(headers), 8), np.uint32), np.array([gpu_mining.NOTHING], np.uint64)
    lanes = gpu_mining.lanes_of(first, power)

    def at(array: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    library.midstates(at(blocks), len(headers), at(states))
    slots = [at(lanes[name]) for name in ("miner", "offset", "weight")]
    size, count = ctypes.c_uint64(len(lanes["miner"])), ctypes.c_uint64(16**difficulty * 40)
    library.attempts(
        at(states), at(tail), *slots, size, ctypes.c_uint64(0), count, difficulty, at(best)
    )
    return gpu_mining.believed(headers, first, difficulty, power, int(best[0]))


@pytest.mark.parametrize("power", [[1] * 15, [1], [3, 1, 2, 5]])
@pytest.mark.parametrize("difficulty", [0, 1, 2, 3])
def test_the_kernel_finds_the_winner_that_hashlib_finds(
    kernel_on_host: ctypes.CDLL, power: list[int], difficulty: int
) -> None:
    for height in (1, 2, 7, 40):
        headers = headers_of_block(height, len(power))
        cpu = race_of_miners(headers, height % len(power), difficulty, power)
        assert race_on_host(kernel_on_host, height, power, difficulty) == cpu


def test_a_nonce_that_hashlib_refutes_is_not_believed() -> None:
    headers = headers_of_block(1, 15)
    _, _, tried = race_of_miners(headers, 1, 3, [1] * 15)
    with pytest.raises(RuntimeError, match="returned nonce"):
        gpu_mining.believed(headers, 1, 3, [1] * 15, tried - 2)


def test_without_a_device_one_line_says_so_and_the_cpu_mines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    race, line = gpu_mining.find_race()
    if race is not race_of_miners:
        pytest.skip("this machine has a CUDA device")
    assert line.endswith("mining on the CPU")
    folder = save_run(tmp_path / "results", "--use-gpu", "--steps", "2")
    assert (folder / "blockchain.json").exists()
    assert capsys.readouterr().err.count("mining on the CPU") == 1


@pytest.mark.slow
def test_the_device_mines_the_same_chain_as_the_cpu(tmp_path: Path) -> None:
    race, line = gpu_mining.find_race()
    if race is race_of_miners:
        pytest.skip(line)
    for height in range(1, 30):
        headers = headers_of_block(height, 15)
        for difficulty in (1, 2, 3, 4):
            expected = race_of_miners(headers, height % 15, difficulty, [1] * 15)
            assert race(headers, height % 15, difficulty, [1] * 15) == expected
