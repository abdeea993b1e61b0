"""Mining on a CUDA device finds what the CPU finds; without a device the kernel is tried as plain C."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import save_run

import main
from blockchain import Draft, merkle_root
from errors import InputError
from extensions import gpu_mining
from mining import NONCE, race_of_miners

HOST = """
#define HOST_TEST
#define __device__
#define __constant__
#define __global__
struct dim {{ unsigned int x; }};
static struct dim blockIdx, threadIdx, blockDim, gridDim;
static void atomicMin(unsigned long long *best, unsigned long long value)
{{ if (value < *best) *best = value; }}
{kernel}
/* Every thread of the grid, one after another: the last first, so that later attempts come earlier. */
#define LAUNCH(call) gridDim.x = grid; blockDim.x = block; \\
    for (unsigned int b = grid; b-- > 0;) for (unsigned int t = block; t-- > 0;) \\
    {{ blockIdx.x = b; threadIdx.x = t; call; }}
void launch_midstates(unsigned int grid, unsigned int block, const u32 *words, int miners, u32 *states)
{{ LAUNCH(midstates(words, miners, states)) }}
void launch_attempts(unsigned int grid, unsigned int block, const u32 *states, const u32 *tail,
                     const int *miner, const u64 *offset, const u64 *weight, u64 size, u64 begin,
                     u64 count, int difficulty, u64 *best)
{{ LAUNCH(attempts(states, tail, miner, offset, weight, size, begin, count, difficulty, best)) }}
"""
C_TYPES = {np.int32: ctypes.c_int32, np.uint64: ctypes.c_uint64}


class HostDevice:
    """Stands where CuPy stands: the device's source, compiled by a C compiler, in host memory."""

    asarray = asnumpy = staticmethod(np.asarray)
    name, processors = b"a stand-in", 2

    def __init__(self, folder: Path):
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("no C compiler on this machine")
        self.folder, self.compiler = folder, compiler
        self.launches: list[int] = []
        self.grid = (0,)
        properties = {"name": self.name, "multiProcessorCount": self.processors}
        runtime = SimpleNamespace(
            getDeviceCount=lambda: 1, getDeviceProperties=lambda device: properties
        )
        self.cuda = SimpleNamespace(runtime=runtime)

    def RawModule(self, code: str) -> HostDevice:
        (self.folder / "race.c").write_text(HOST.format(kernel=code.replace('extern "C"', "")))
        command = [self.compiler, "-O2", "-shared", "-fPIC", "-o", "race.so", "race.c"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        self.library = ctypes.CDLL(str(self.folder / "race.so"))
        return self

    def get_function(self, name: str) -> Callable:
        def launch(grid: tuple[int], block: tuple[int], arguments: tuple) -> None:
            passed = [
                ctypes.c_void_p(value.ctypes.data)
                if isinstance(value, np.ndarray)
                else C_TYPES[type(value)](value)
                for value in arguments
            ]
            if name == "attempts":
                self.launches.append(int(arguments[7]))
                self.grid = grid
            self.library[f"launch_{name}"](*grid, *block, *passed)

        return launch


HARD = (9, 50_848_426, 762_726_392)
"""The race of block 8 at difficulty 8, found by a separate C program."""


def clock(seconds: float) -> Callable[[], float]:
    """One that so many seconds pass on from look to look."""
    return itertools.count(1000.0, seconds).__next__


def headers_of_block(height: int, miners: int, difficulty: int = 2) -> list[bytes]:
    records = (bytes([height]) * 37,)
    draft = Draft(1, height, 3, bytes(range(32)), merkle_root(records), records)
    return [draft.header(miner, difficulty) for miner in range(miners)]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> HostDevice:
    return HostDevice(tmp_path_factory.mktemp("kernel"))


@pytest.fixture(scope="module")
def race(device: HostDevice) -> gpu_mining.GpuRace:
    return gpu_mining.GpuRace(device, 3)


@pytest.mark.parametrize("power", [[1] * 15, [1], [3, 1, 2, 5]])
@pytest.mark.parametrize("difficulty", [0, 1, 2, 3])
def test_the_kernel_finds_the_winner_that_hashlib_finds(
    race: gpu_mining.GpuRace, power: list[int], difficulty: int
) -> None:
    for height in (1, 2, 7, 40):
        headers = headers_of_block(height, len(power))
        expected = race_of_miners(headers, height % len(power), difficulty, power)
        assert race(headers, height % len(power), difficulty, power) == expected


def test_the_kernel_wins_a_block_of_difficulty_8_where_hashlib_says_so(
    race: gpu_mining.GpuRace,
) -> None:
    """Only the last of the 762,726,392 attempts are made: the nonces begin late."""
    headers, (winner, nonce, attempts) = headers_of_block(8, 15, 8), HARD
    assert sha256(headers[winner] + NONCE.pack(nonce)).hexdigest().startswith("0" * 8)
    late = gpu_mining.lanes_of(8, [1] * 15)
    late["offset"] += np.uint64(nonce - 5000)
    assert race.earliest(headers, late, 8) == 5000 * 15 + (winner - 8)
    assert attempts == nonce * 15 + (winner - 8) + 1


def test_the_race_goes_on_from_launch_to_launch(
    race: gpu_mining.GpuRace, device: HostDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Launches of 7, 14, 28, ... attempts: a block is won in a later one, its number is the same."""
    monkeypatch.setattr(gpu_mining, "FIRST_LAUNCH", 7)
    monkeypatch.setattr(gpu_mining, "perf_counter", clock(gpu_mining.SHORT_SECONDS / 2))
    headers = headers_of_block(9, 4)
    expected = race_of_miners(headers, 1, 3, [3, 1, 2, 5])
    device.launches.clear()
    assert race(headers, 1, 3, [3, 1, 2, 5]) == expected
    assert device.launches == [7 * 2**n for n in range(len(device.launches))]
    assert sum(device.launches[:-1]) < expected[2] <= sum(device.launches)


def test_a_launch_that_takes_long_is_not_followed_by_a_longer_one(
    race: gpu_mining.GpuRace, device: HostDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_mining, "FIRST_LAUNCH", 50)
    monkeypatch.setattr(gpu_mining, "perf_counter", clock(gpu_mining.SHORT_SECONDS * 2))
    device.launches.clear()
    *_, attempts = race(headers_of_block(9, 15), 9, 3, [1] * 15)
    assert attempts > 50
    assert device.launches == [50] * -(-attempts // 50)


def test_use_gpu_leaves_the_same_folder_as_the_cpu(
    device: HostDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", device)
    device.launches.clear()
    on_device = save_run(tmp_path / "device", "--use-gpu", "--steps", "14")
    assert device.launches
    assert device.grid == (gpu_mining.BLOCKS * device.processors,), (
        "all of them at work, none waits"
    )
    on_cpu = save_run(tmp_path / "cpu", "--steps", "14")
    for name in ("blockchain.json", "blocks.csv", "transfers.csv", "summary.json"):
        assert (on_device / name).read_bytes() == (on_cpu / name).read_bytes()


def test_nonces_beyond_32_bits_are_hashed_whole(race: gpu_mining.GpuRace) -> None:
    """Difficulty 8 takes 2^32 attempts on average; a miner alone then tries nonces of more than 32 bits."""
    headers, lanes = headers_of_block(8, 15), gpu_mining.lanes_of(8, [1] * 15)
    lanes["offset"] += np.uint64(2**32)
    turns = [(8 + k) % 15 for k in range(15)]

    def is_valid(attempt: int) -> bool:
        header = headers[turns[attempt % 15]]
        return sha256(header + NONCE.pack(2**32 + attempt // 15)).digest()[0] == 0

    assert race.earliest(headers, lanes, 2) == next(n for n in range(10**6) if is_valid(n))


def test_the_device_that_mines_is_named_and_one_that_is_not_there_too(
    device: HostDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", device)
    assert gpu_mining.find_race()[1] == "mining on a stand-in"
    monkeypatch.setattr(device.cuda.runtime, "getDeviceCount", lambda: 0)
    nothing = "no CUDA device found; mining on the CPU"
    assert gpu_mining.find_race() == (race_of_miners, nothing)


def test_a_device_that_fails_ends_the_run_with_one_line_and_leaves_nothing(
    device: HostDevice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", device)
    monkeypatch.setattr(device, "asnumpy", Mock(side_effect=RuntimeError("out of memory\nat 0")))
    arguments = ["--use-gpu", "--no-plots", "--steps", "14", "--output", str(tmp_path / "results")]
    assert main.main(arguments) == 2
    told = "  the CUDA device failed (out of memory); run again without --use-gpu"
    assert capsys.readouterr().err.splitlines()[-1] == told
    assert not list(tmp_path.iterdir())


def test_a_nonce_that_hashlib_refutes_is_not_believed() -> None:
    headers = headers_of_block(1, 15)
    _, _, tried = race_of_miners(headers, 1, 3, [1] * 15)
    with pytest.raises(InputError, match="returned nonce"):
        gpu_mining.believed(headers, 1, 3, [1] * 15, tried - 2)


def test_without_a_device_one_line_says_so_and_the_cpu_mines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    race, line = gpu_mining.find_race()
    if race is not race_of_miners:
        pytest.skip("this machine has a CUDA device")
    assert line.endswith("mining on the CPU")
    folder, arguments = tmp_path / "results", ["--use-gpu", "--no-plots", "--steps", "2"]
    assert main.main([*arguments, "--output", str(folder)]) == 0
    assert (folder / "blockchain.json").exists()
    assert capsys.readouterr().err == f"{line}\n"
    save_run(tmp_path / "quiet", "--use-gpu", "--steps", "2")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ModuleNotFoundError("No module named 'cupy'", name="cupy"),
            'CuPy is not installed (pip install "cupy-cuda12x[ctk]")',
        ),
        (
            ImportError("\n====\nCuPy is not correctly installed."),
            "CuPy does not load (CuPy is not correctly installed.)",
        ),
        (
            RuntimeError('Failure finding "libnvrtc.so.12"'),
            'CuPy lacks NVIDIA\'s compiler (pip install "cupy-cuda12x[ctk]")',
        ),
        (
            RuntimeError("nvrtc: error: invalid value for --gpu-architecture (-arch)"),
            "no usable CUDA device (nvrtc: error: invalid value for --gpu-architecture (-arch))",
        ),
        (
            RuntimeError("cudaErrorInsufficientDriver: too old\nat 0"),
            "no usable CUDA device (cudaErrorInsufficientDriver: too old)",
        ),
        (RuntimeError(""), "no usable CUDA device (RuntimeError)"),
    ],
)
def test_what_keeps_the_device_from_mining_is_said_in_one_line(
    error: Exception, told: str, device: HostDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", device)
    monkeypatch.setattr(device.cuda.runtime, "getDeviceCount", Mock(side_effect=error))
    assert gpu_mining.find_race() == (race_of_miners, f"{told}; mining on the CPU")


def test_of_a_library_that_does_not_load_its_name_is_said() -> None:
    try:
        raise ImportError("\n====\na page of advice") from OSError("libcudart.so.12: cannot open")
    except ImportError as error:
        assert gpu_mining.why_not(error) == "CuPy does not load (libcudart.so.12: cannot open)"


@pytest.mark.parametrize("consensus", ["pos", "none"])
def test_without_work_there_is_nothing_to_mine(
    consensus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--use-gpu", "--no-plots", "--steps", "2", "--set", f"CONSENSUS={consensus}"]
    assert main.main([*arguments, "--output", str(tmp_path / "results")]) == 0
    assert capsys.readouterr().err == f"nothing to mine: CONSENSUS = {consensus}\n"


@pytest.mark.slow
def test_the_device_mines_the_same_chain_as_the_cpu(tmp_path: Path) -> None:
    race, line = gpu_mining.find_race()
    if race is race_of_miners:
        pytest.skip(line)
    for height in range(1, 30):
        power = [[1] * 15, [3, 1, 2, 5]][height % 2]
        headers, first = headers_of_block(height, len(power)), height % len(power)
        for difficulty in (1, 2, 3, 4):
            expected = race_of_miners(headers, first, difficulty, power)
            assert race(headers, first, difficulty, power) == expected


@pytest.mark.slow
def test_difficulty_8_is_usable_on_a_device() -> None:
    race, line = gpu_mining.find_race()
    if race is race_of_miners:
        pytest.skip(line)
    began = perf_counter()
    assert race(headers_of_block(8, 15, 8), 8, 8, [1] * 15) == HARD
    assert perf_counter() - began < 30  # a CPU needs four minutes for these 763 million attempts
