"""The figures: all there, legible, one colour per concept, and showing what the files say."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, save_run
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from PIL import Image

import plot_results as plots
import simulator
from extensions.mechanisms import MECHANISMS
from figures import energy, ledger, members, money, offers, prices, regulator, style, trades
from figures.data import WITHOUT_MARKET, Results, short_names, size, without_common_start
from figures.style import COLOUR
from figures.timeline import Timeline
from plot_results import FIGURES, LEDGER_FIGURES

PROMISED = {
    "energy_balance",
    "energy_by_source",
    "community_net_power",
    "price_forecast",
    "price_dynamics",
    "trading_activity",
    "p2p_vs_market",
    "trade_volume_analysis",
    "merit_order",
    "trade_network",
    "battery_usage",
    "soc_heatmap",
    "renewable_usage",
    "home_type_analysis",
    "balance_distribution",
    "bill_before_after",
    "top_prosumers",
    "prosumer_performance",
    "prosumer_day",
    "lorenz_fairness",
    "regulator_impact",
    "ban_timeline",
    "blockchain_growth",
    "mining_race",
    "hashes_per_block",
}

VARIANTS = {
    "three days": ("--set", "TIME_STEPS=72", "--set", "NUM_PROSUMERS=30"),
    "quarter hours": ("--set", "TIME_STEPS=96", "--set", "TIME_STEP_DURATION=0.25"),
    "two members": ("--set", "NUM_PROSUMERS=2"),
    "one member": ("--set", "NUM_PROSUMERS=1"),
    "one step": ("--set", "TIME_STEPS=1"),
    "consumers only": ("--set", "NUM_PROSUMERS=0", "--set", "NUM_CONSUMERS=12"),
    "a month": ("--set", "TIME_STEPS=720", "--set", "NUM_PROSUMERS=8", "--set", "CONSENSUS=none"),
    "with consumers": ("--set", "NUM_CONSUMERS=30", "--set", "CONSENSUS=none"),
    "stake": ("--set", "CONSENSUS=pos"),
    "shared bill": ("--set", "MARKET_MECHANISM=bill_sharing", "--set", "NUM_PROSUMERS=12"),
    "two prices": ("--set", "MARKET_MECHANISM=huang", "--set", "NUM_PROSUMERS=12"),
    "shared by ratio": ("--set", "MARKET_MECHANISM=supply_demand_ratio"),
    "dear neighbours": ("--set", "P2P_BONUS=0.6", "--set", "NUM_PROSUMERS=12"),
    "thirty": ("--set", "NUM_PROSUMERS=30", "--set", "CONSENSUS=none"),
    "a thousand": ("--set", "NUM_PROSUMERS=1000", "--set", "CONSENSUS=none"),
}
TOUCHED = {
    "with consumers": {"home_type_analysis", "top_prosumers", "bill_before_after"},
    "stake": {"blockchain_growth", "mining_race", "hashes_per_block", "money_by_party"},
    "shared bill": {
        *("money_by_party", "bill_before_after", "price_dynamics", "p2p_vs_market", "merit_order"),
        *("trade_volume_analysis", "trading_activity", "lorenz_fairness", "prosumer_day"),
    },
    "two prices": {"money_by_party", "price_dynamics", "merit_order", "trade_volume_analysis"},
    "shared by ratio": {"price_dynamics"},
    "dear neighbours": {"price_dynamics"},
    "thirty": {"soc_heatmap", "ban_timeline"},
}
"""Variants that change a part of the figures only; the others are those of the default day."""


@pytest.fixture(scope="session")
def day(default_day: Path) -> Results:
    return Results(default_day)


@pytest.fixture(scope="session")
def drawn(day: Results) -> dict[str, Figure]:
    """Every figure of the default day, laid out."""
    return {name: laid_out(name, day) for name in FIGURES}


@pytest.fixture(scope="session")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """variant("two members"): the results of one of VARIANTS, simulated once."""
    made: dict[str, Results] = {}

    def get(name: str) -> Results:
        if name not in made:
            folder = tmp_path_factory.mktemp("variant") / "results"
            made[name] = Results(save_run(folder, *VARIANTS[name]))
        return made[name]

    return get


def rows(data: Results, name: str) -> list[dict[str, str]]:
    """A file as the csv module reads it: a second way to its numbers."""
    with open(data.folder / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def per_step(data: Results, name: str, column: str) -> np.ndarray:
    """One column summed over the rows of each step, by a plain loop."""
    total: dict[int, float] = defaultdict(float)
    for row in rows(data, name):
        total[int(row["timestep"])] += float(row[column])
    return np.array([total[t] for t in range(len(rows(data, "community_summary.csv")))])


def laid_out(name: str, data: Results) -> Figure:
    with style.our_style():
        fig = FIGURES[name](data)
        fig.draw_without_rendering()
    return fig


def shown_texts(fig: Figure) -> list[tuple[Text, Any]]:
    """Every text of a figure that a reader sees, with its box in pixels."""
    hidden: set[int] = set()
    for ax in fig.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not (ax.axison and low - 1e-9 <= tick.get_loc() <= high + 1e-9):
                    hidden |= {id(tick.label1), id(tick.label2)}
            if not ax.axison:
                hidden |= {id(axis.label), id(axis.offsetText)}
    texts = [t for t in fig.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [(t, t.get_window_extent()) for t in texts if id(t) not in hidden]


def layout_faults(fig: Figure) -> list[str]:
    """What a strict teacher would say: cut off, on top of each other, too small."""
    texts, faults = shown_texts(fig), []
    for text, box in texts:
        if box.x0 < 0 or box.y0 < 0 or box.x1 > fig.bbox.width or box.y1 > fig.bbox.height:
            faults.append(f"cut off: {text.get_text()!r}")
        if text.get_fontsize() < 12:
            faults.append(f"too small: {text.get_text()!r}")
    for (one, a), (two, b) in itertools.combinations(texts, 2):
        wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if wide > 2 and high > 4:
            faults.append(f"overlap: {one.get_text()!r} and {two.get_text()!r}")
    for legend, ax in itertools.product(fig.legends, fig.axes):
        a, b = legend.get_window_extent(), ax.get_window_extent()
        if ax.axison and min(a.x1, b.x1) > max(a.x0, b.x0) and min(a.y1, b.y1) > max(a.y0, b.y0):
            faults.append("a key covers the axes")
    return faults


def out_of_sight(fig: Figure) -> list[str]:
    """What a figure draws beyond the ends of its axes: nobody would see it."""
    faults = []
    for ax in fig.axes:
        for name in "xy":
            drawn, shown = (getattr(box, f"interval{name}") for box in (ax.dataLim, ax.viewLim))
            room = 1e-6 * abs(np.ptp(shown))
            if min(drawn) < min(shown) - room or np.inf > max(drawn) > max(shown) + room:
                faults.append(f"{name}: {drawn} beyond {shown}")
    return faults


def key_colours(fig: Figure) -> dict[str, str]:
    """{text of a key: colour of its sample}, over all keys of a figure."""
    found = {}
    legends = [*fig.legends, *(ax.get_legend() for ax in fig.axes if ax.get_legend())]
    for legend in legends:
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            face = (
                handle.get_facecolor() if hasattr(handle, "get_facecolor") else handle.get_color()
            )
            found[text.get_text()] = matplotlib.colors.to_hex(face).upper()
    return found


def bands_of(fig: Figure, axes: int, colour: str) -> list[Any]:
    """The data of the filled bands of one colour: (values, edges, baseline)."""
    want = matplotlib.colors.to_rgba(colour)
    bands = [p for p in fig.axes[axes].patches if isinstance(p, StepPatch) and p.get_fill()]
    return [band.get_data() for band in bands if np.allclose(band.get_facecolor(), want)]


# ---------------------------------------------------------------- all of them


def test_every_promised_figure_is_made_as_a_legible_picture(default_day: Path, tmp_path: Path):
    told: list[tuple[str, int, int]] = []
    output = tmp_path / "pictures"
    paths = plots.plot_all(default_day, progress=lambda *step: told.append(step), output=output)
    assert PROMISED <= {path.stem for path in paths} == set(FIGURES)
    assert told == [("drawing", done, len(paths)) for done in range(len(paths) + 1)]
    for path in paths:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert picture.size == (1600, 900), f"{path.stem} is {picture.size}"
            grey = np.asarray(picture.convert("L"))
        assert (grey < 250).mean() > 0.005, f"{path.stem} is all but blank"
    assert sorted(p.name for p in (tmp_path / "pictures").iterdir()) == sorted(
        p.name for p in paths
    )


def test_figures_go_to_the_plots_folder_of_the_results(copy: Path):
    (path,) = plots.plot_all(copy, only=["price_forecast"])
    assert path == copy / "plots" / "price_forecast.png"
    assert path.is_file()


def test_every_figure_of_the_default_day_is_well_laid_out(drawn: dict[str, Figure]):
    assert {name: faults for name, fig in drawn.items() if (faults := layout_faults(fig))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_figures_stay_well_laid_out_in_other_communities(name: str, variant: Any):
    data = variant(name)
    names = [n for n in FIGURES if data.has_ledger or n not in LEDGER_FIGURES]
    names = [n for n in names if n in TOUCHED.get(name, names)]
    faults = {n: f for n in names if (f := layout_faults(laid_out(n, data)))}
    assert names and faults == {}


def named(folder: Path, name: Callable[[int], str]) -> Results:
    """A saved run whose homes have these names."""
    members = json.loads((folder / "prosumers.json").read_text())
    renamed = [member | {"household_id": name(i)} for i, member in enumerate(members)]
    (folder / "prosumers.json").write_text(json.dumps(renamed))
    return Results(folder)


NAMES: dict[str, Callable[[int], str]] = {
    "one beginning": lambda i: f"household_{i:02d}",
    "long, one beginning": lambda i: f"Familie M\u00fcller-L\u00fcdenscheidt, Haus {i}",
    "long": lambda i: f"{i}, Wilhelmine Schulte-Oversohl",
    "wide": lambda i: f"WWWWWWWW{chr(97 + i // 26)}{chr(97 + i % 26)}WW",
    "another script": lambda i: f"\u65e5\u672c{i}",
    "mathematics": lambda i: f"{'ab'[i % 2]}$\\frac{i}$",
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", NAMES)
def test_figures_stay_well_laid_out_with_any_names(case: str, copy: Path):
    data = named(copy, NAMES[case])
    names = ("trade_network", "ban_timeline", "top_prosumers", "prosumer_day")
    faults = {name: f for name in names if (f := layout_faults(laid_out(name, data)))}
    assert faults == {}


def test_a_ban_names_its_axis_and_its_homes_without_what_all_names_share(copy: Path):
    data = named(copy, NAMES["one beginning"])
    (ax,) = laid_out("ban_timeline", data).axes
    assert ax.get_ylabel() == "Home"
    assert {tick.get_text() for tick in ax.get_yticklabels()} <= {f"{i:02d}" for i in range(100)}


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["household_01", "household_02"], ["01", "02"]),
        (["Familie M\u00fcller, Haus 8", "Familie M\u00fcller, Haus 10"], ["8", "10"]),
        (["10010", "10011"], ["10010", "10011"]),
        (["flat_a_1", "flat_a_2", "flat_b"], ["a_1", "a_2", "b"]),
        (["home", "home2"], ["home", "home2"]),
        (["h1", "h2"], ["h1", "h2"]),
        (["Anna-Katharina Berg", "Karl"], ["Anna-Kathar\u2026", "Karl"]),
        (
            ["Wilhelmine Schulte (left)", "Wilhelmine Schulte (right)", "Zo\u00eb"],
            ["Wilhel\u2026left)", "Wilhel\u2026ight)", "Zo\u00eb"],
        ),
        (["abcdefgh1_and_so_on", "abcdefgh2_and_so_on"], ["1_and_so_on", "2_and_so_on"]),
        (
            ["abcdefgh_and_so_1_on_it_goes", "abcdefgh_and_so_2_on_it_goes", "z"],
            ["abcdef\u20260", "abcdef\u20261", "z"],
        ),
        ([], []),
    ],
)
def test_names_are_shortened_to_what_tells_homes_apart(names: list[str], short: list[str]):
    assert short_names(without_common_start(names)) == short


def test_short_names_are_short_and_unique():
    draw = np.random.default_rng(1)
    for _ in range(200):
        letters = draw.choice(list("ab1 _"), (30, int(draw.integers(1, 25))))
        names = sorted({"".join(word) for word in letters})
        short = short_names(without_common_start(names))
        assert len(set(short)) == len(names) and max(map(len, short)) <= 12


def test_every_axis_names_its_quantity_and_every_figure_has_a_title_and_a_question(
    drawn: dict[str, Figure],
):
    for name, fig in drawn.items():
        title, subtitle = fig.texts[:2]
        assert len(title.get_text()) > 8 and title.get_fontsize() >= 16, name
        assert subtitle.get_text(), name
        assert (FIGURES[name].__doc__ or "").rstrip().endswith(("?", ".")), name
        for ax in (ax for ax in fig.axes if ax.axison):
            sharing = [other for other in fig.axes if other is not ax and other.get_xlabel()]
            assert ax.get_xlabel() or sharing, f"{name}: an x axis without a name"


def test_units_stand_on_the_axes(drawn: dict[str, Figure]):
    units = {
        "energy_balance": "kW",
        "energy_by_source": "kW",
        "community_net_power": "kW",
        "price_forecast": "EUR/kWh",
        "price_dynamics": "EUR/kWh",
        "p2p_vs_market": "kW",
        "merit_order": "EUR/kWh",
        "battery_usage": "kWh",
        "renewable_usage": "kW",
        "bill_before_after": "EUR",
        "regulator_impact": "EUR per hour",
        "prosumer_day": "kW",
    }
    for name, unit in units.items():
        labels = [label for ax in drawn[name].axes for label in (ax.get_xlabel(), ax.get_ylabel())]
        assert any(f"({unit})" in label or unit in label for label in labels), (name, labels)


# ---------------------------------------------------------------- without this or that


def test_without_ledger_its_figures_are_left_out_and_old_ones_removed(tmp_path: Path):
    folder = save_run(tmp_path / "results", "--set", "CONSENSUS=none", "--set", "NUM_PROSUMERS=5")
    stale = folder / "plots" / "mining_race.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")
    paths = plots.plot_all(folder, only=["mining_race", "ban_timeline", "hashes_per_block"])
    assert [path.stem for path in paths] == ["ban_timeline"]
    assert [path.name for path in stale.parent.iterdir()] == ["ban_timeline.png"]


@pytest.mark.parametrize(
    ("name", "figure", "told"),
    [
        ("consumers only", "battery_usage", "No member of this community owns a battery"),
        ("consumers only", "renewable_usage", "no PV energy"),
        ("consumers only", "trade_network", "No two neighbours traded"),
        ("consumers only", "merit_order", "In no step did a seller and a buyer"),
        ("one member", "lorenz_fairness", "A community of one member"),
        ("stake", "hashes_per_block", "not found by hashing"),
        ("shared bill", "merit_order", "asks nobody for a limit price"),
    ],
)
def test_what_a_run_lacks_is_said_in_one_sentence(name: str, figure: str, told: str, variant: Any):
    fig = FIGURES[figure](variant(name))
    (ax,) = fig.axes
    (text,) = ax.texts
    assert told in text.get_text().replace("\n", " ")
    assert not ax.axison


def test_a_mechanism_without_limit_prices_has_no_merit_order(copy: Path):
    path = copy / "prosumer_trading.csv"
    head, *lines = path.read_text().splitlines()
    place = head.split(",").index("limit_price_eur_per_kwh")
    cells = [line.split(",") for line in lines]
    bare = [",".join([*row[:place], "", *row[place + 1 :]]) for row in cells]
    path.write_text("\n".join([head, *bare]) + "\n")
    (text,) = FIGURES["merit_order"](Results(copy)).axes[0].texts
    assert "asks nobody for a limit price" in text.get_text().replace("\n", " ")


def test_a_run_without_any_energy_says_so(tmp_path: Path):
    homes = tmp_path / "homes.csv"
    rows = [f"2024-06-01 {hour}:00,{home},0,0" for hour in (12, 13) for home in "ab"]
    homes.write_text("\n".join(["timestamp,household_id,load_kwh,pv_kwh", *rows]) + "\n")
    data = Results(save_run(tmp_path / "results", "--data", str(homes)))
    (text,) = laid_out("energy_balance", data).axes[0].texts
    assert text.get_text().replace("\n", " ") == "No home made or used any energy in this run."


@pytest.mark.parametrize("wallet", [1000, 5000, 123456])
def test_ticks_that_lie_close_together_differ(wallet: int, tmp_path: Path):
    """Wallets of thousands of euro, balances that differ by one."""
    setting = ("--set", f"INITIAL_WALLET={wallet}")
    data = Results(save_run(tmp_path / "results", "--steps", "6", *setting))
    fig = laid_out("balance_distribution", data)
    for ax in fig.axes:
        for axis in (ax.xaxis, ax.yaxis):
            told = [label.get_text() for label in axis.get_ticklabels() if label.get_text()]
            assert len(told) == len(set(told)), told
    assert layout_faults(fig) == []


def test_a_day_without_bans_says_so(copy: Path):
    path = copy / "regulator_actions.csv"
    path.write_text(path.read_text().replace(",true,", ",false,"))
    (text,) = FIGURES["ban_timeline"](Results(copy)).axes[0].texts
    assert text.get_text() == "The regulator banned no member in 24 hours."


# ---------------------------------------------------------------- colours


def test_a_concept_has_the_same_colour_in_every_figure(drawn: dict[str, Figure]):
    words = {
        "PV": "pv",
        "own PV": "pv",
        "load": "load",
        "from batteries": "battery",
        "into batteries": "battery",
        "own battery": "battery",
        "battery": "battery",
        "into own battery": "battery",
        "P2P": "p2p",
        "neighbours (P2P)": "p2p",
        "to neighbours (P2P)": "p2p",
        "local market": "market",
        "to the local market": "market",
        "utility": "utility",
        "to the utility": "utility",
        "from outside": "outside",
        "to outside": "outside",
        "alone with the utility": "utility",
        "the regulator's account": "regulator",
    }
    seen = set()
    for name, fig in drawn.items():
        for text, colour in key_colours(fig).items():
            word = text.split("\n")[0]
            if word in words:
                assert colour == COLOUR[words[word]].upper(), f"{name}: {word}"
                seen.add(words[word])
    assert seen == {"pv", "load", "battery", "p2p", "market", "utility", "outside", "regulator"}
    assert len(set(COLOUR.values())) == len(COLOUR)


def test_what_a_home_owns_has_not_the_colour_of_an_energy(drawn: dict[str, Figure]):
    """Orange was PV energy at the left of one figure, and homes with PV only at its right."""
    energies = {
        COLOUR[name].upper() for name in ("pv", "load", "battery", "p2p", "market", "utility")
    }
    for name in ("home_type_analysis", "balance_distribution", "prosumer_performance"):
        colours = key_colours(drawn[name])
        owned = {text.split(" (")[0]: c for text, c in colours.items() if "(" in text}
        assert set(owned) == {"PV and battery", "PV only"}, name
        assert not energies & set(owned.values())
    assert set(members.GROUPS.values()) <= set(COLOUR)


def drawn_colours(fig: Figure) -> set[str]:
    """The colours of all that a reader sees in the axes: bands and bars with a height, lines, dots."""
    found = []
    for ax in fig.axes:
        for patch in ax.patches:
            if isinstance(patch, StepPatch):
                values, _, base = patch.get_data()
                seen = not patch.get_fill() or np.any(values != (0 if base is None else base))
                found += [patch.get_facecolor(), patch.get_edgecolor()] if seen else []
            elif patch.get_width() and patch.get_height():
                found.append(patch.get_facecolor())
        found += [line.get_color() for line in ax.lines]
        found += [colour for dots in ax.collections for colour in dots.get_facecolor()]
        found += [colour for lines in ax.collections for colour in lines.get_edgecolor()]
    return {matplotlib.colors.to_hex(colour).upper() for colour in found}


@pytest.mark.parametrize("name", ["shared bill", "consumers only", "two members"])
def test_a_key_names_only_what_is_drawn(name: str, variant: Any):
    for figure in ("trading_activity", "prosumer_day", "home_type_analysis", "top_prosumers"):
        fig = laid_out(figure, variant(name))
        if fig.axes[0].axison:
            assert set(key_colours(fig).values()) <= drawn_colours(fig), figure


def test_the_key_of_the_best_names_what_they_own(drawn: dict[str, Figure]):
    """The ten best of the day own PV only; batteries are in the key of other figures."""
    assert set(key_colours(drawn["top_prosumers"]).values()) <= drawn_colours(
        drawn["top_prosumers"]
    )


def test_a_bonus_that_nobody_got_is_not_in_the_key(copy: Path):
    path = copy / "transfers.csv"
    lines = [line for line in path.read_text().splitlines() if "p2p_bonus" not in line]
    path.write_text("\n".join(lines) + "\n")
    fig = laid_out("regulator_impact", Results(copy))
    assert not [text for text in key_colours(fig) if "P2P" in text]
    assert set(key_colours(fig).values()) <= drawn_colours(fig)


def test_curtailed_energy_of_a_home_is_in_the_key(copy: Path):
    best = members.best_and_worst(Results(copy))[0]
    path = copy / "prosumer_energy.csv"
    table = pd.read_csv(path)
    table.loc[table["prosumer_id"] == best, "curtailed_kwh"] = 0.5
    table.to_csv(path, index=False)
    assert "curtailed" in key_colours(laid_out("prosumer_day", Results(copy)))


def test_what_a_market_rule_moves_has_a_colour_of_its_own(variant: Any):
    """It had that of curtailed PV."""
    colours = key_colours(laid_out("money_by_party", variant("shared bill")))
    (text,) = [text for text in colours if text.startswith("market rule")]
    assert colours[text] == COLOUR["settlement"] != COLOUR["curtailed"]


def lab(colour: str, blindness: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) of a colour as a colour-blind eye sees it; the matrix acts on linear RGB."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(blindness @ linear, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(
    "blindness",
    [
        np.eye(3),
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    ],
    ids=[
        "full colour",
        "protanopia",
        "deuteranopia",
        "tritanopia",
    ],  # Machado, Oliveira, Fernandes 2009
)
def test_colour_blind_readers_tell_the_energy_colours_apart(blindness: Any):
    together = (
        ("pv", "load", "battery", "p2p", "market", "utility"),
        ("pv", "load", "battery", "outside", "curtailed"),
        ("pv", "load", "community", *members.GROUPS.values()),
    )
    for one, two in itertools.chain.from_iterable(itertools.combinations(s, 2) for s in together):
        apart = np.linalg.norm(
            lab(COLOUR[one], np.array(blindness)) - lab(COLOUR[two], np.array(blindness))
        )
        assert apart > 15, f"{one} and {two}: {apart:.0f}"


# ---------------------------------------------------------------- the time axis


def test_a_quarter_of_an_hour_with_one_kwh_is_four_kilowatts():
    assert Timeline(0, 96, 0.25).rate(np.ones(96)).tolist() == [4.0] * 96


@pytest.mark.parametrize(
    ("steps", "step_hours", "points"),
    [
        (24, 1.0, 24),
        (96, 0.25, 96),
        (336, 1.0, 336),
        (720, 1.0, 30),
        (8760, 1.0, 52),
        (25, 1.0, 25),
    ],
)
def test_gathering_steps_into_points_loses_no_energy(steps: int, step_hours: float, points: int):
    timeline = Timeline(7, steps, step_hours)
    energy = np.random.default_rng(1).random(steps)
    assert len(timeline.rate(energy)) == points == len(timeline.edges) - 1
    gathered = (timeline.rate(energy) * np.diff(timeline.edges)).sum()
    assert gathered == pytest.approx(energy.sum())
    assert (timeline.edges[0], timeline.edges[-1]) == (7, pytest.approx(7 + steps * step_hours))


def test_days_are_not_merged_on_an_hour_axis(variant: Any):
    fig = laid_out("energy_balance", variant("three days"))
    _, edges, _ = fig.axes[0].patches[0].get_data()
    assert np.array_equal(edges, np.arange(73))
    ticks = [tick.get_text() for tick in fig.axes[0].get_xticklabels()]
    assert [tick for tick in ticks if "day" in tick] == [
        "12:00\nday 1",
        "12:00\nday 2",
        "12:00\nday 3",
    ]


def test_a_dated_run_shows_dates(copy: Path):
    path = copy / "community_summary.csv"
    head, *lines = path.read_text().splitlines()
    assert "timestamp" not in head
    dated = [f"{line},2017-06-{5 + i // 24:02d} {i % 24:02d}:00:00" for i, line in enumerate(lines)]
    path.write_text("\n".join([f"{head},timestamp", *dated]) + "\n")
    assert Results(copy).timeline.label == "Hour of 5 June 2017"
    week = Timeline(0, 168, 1.0, Results(copy).timeline.date)
    assert week.ticks()[1][:2] == ["Mon 5 Jun", "Tue 6 Jun"]
    assert week.name(30) == "on 6 Jun at 06:00"


NEW_YEAR = datetime(2017, 1, 1)
AXES_OF_TIME: list[tuple[Timeline, str, float, list[str]]] = [
    # a timeline, what its axis counts, hours from one tick to the next, what the first ticks say
    (Timeline(6, 6, 0.25), "Hour of the day", 0.25, ["06:00", "06:15", "06:30"]),
    (Timeline(6, 12, 1), "Hour of the day", 1, ["06:00", "07:00"]),
    (Timeline(7, 24, 1), "Hour of the day", 3, ["09:00", "12:00"]),
    (Timeline(0, 30, 1), "Hour of the day", 3, ["00:00", "03:00"]),
    (Timeline(0, 31, 1), "Day of the run", 12, ["00:00", "12:00\nday 1", "00:00"]),
    (Timeline(6, 120, 1), "Day of the run", 12, ["12:00\nday 1", "00:00", "12:00\nday 2"]),
    (Timeline(0, 8 * 24, 1), "Day of the run", 24, ["day 1", "day 2"]),
    (Timeline(0, 9 * 24, 1), "Day of the run", 48, ["day 1", "day 3"]),
    (Timeline(0, 14 * 24, 1, NEW_YEAR), "2017", 48, ["Sun 1 Jan", "Tue 3 Jan"]),
    (Timeline(0, 340, 1), "Day of the run", 7 * 24, ["day 1", "day 8", "day 15"]),
    (Timeline(0, 15 * 24, 1, NEW_YEAR), "2017", 7 * 24, ["1 Jan", "8 Jan", "15 Jan"]),
    (Timeline(0, 63 * 24, 1), "Day of the run", 7 * 24, ["day 1", "day 8"]),
    (Timeline(0, 64 * 24, 1), "Day of the run", 14 * 24, ["day 1", "day 15"]),
    (Timeline(0, 70 * 24, 1, NEW_YEAR), "2017", 14 * 24, ["1 Jan", "15 Jan"]),
    (Timeline(0, 365 * 24, 1), "Day of the run", 50 * 24, ["day 1", "day 51"]),
]


@pytest.mark.parametrize(("timeline", "label", "gap", "first"), AXES_OF_TIME)
def test_the_time_axis_is_told_in_hours_days_or_dates(
    timeline: Timeline, label: str, gap: float, first: list[str]
):
    places, names = timeline.ticks()
    assert timeline.label == label and names[: len(first)] == first
    assert np.diff(places) == pytest.approx(gap) and len(names) == len(places) <= 15
    assert timeline.start <= places[0] and timeline.end - gap < places[-1] <= timeline.end
    middle = gap >= 24 and timeline.hours <= 14 * 24
    assert places[0] % 24 == (12 if middle else places[0] % 24), "a day's name below its noon"


def test_the_months_of_a_year_begin_on_their_first_day():
    """Every second of thirteen; 1 March is day 59 after 1 January. The year where it is new."""
    year = Timeline(0, 365 * 24, 1.0, NEW_YEAR)
    places, names = year.ticks()
    assert year.label == "Month" and places[:2] == [0, 59 * 24]
    assert names == ["Jan\n2017", "Mar", "May", "Jul", "Sep", "Nov", "Jan\n2018"]
    assert Timeline(0, 71 * 24, 1.0, NEW_YEAR).ticks()[1] == ["Jan\n2017", "Feb", "Mar"]
    assert len(Timeline(0, 240 * 24, 1.0, NEW_YEAR).ticks()[1]) == 8, "January to August"
    assert len(Timeline(0, 250 * 24, 1.0, NEW_YEAR).ticks()[1]) == 5, "every second of nine"


@pytest.mark.parametrize(
    ("timeline", "span", "points", "note"),
    [
        (Timeline(0, 1, 1.0), "1 hour", 1, ""),
        (Timeline(0, 2, 0.25), "0.5 hours", 2, ""),
        (Timeline(0, 36, 1.0), "36 hours", 36, ""),
        (Timeline(0, 96, 0.5), "2 days", 96, ""),
        (Timeline(0, 252, 1.0), "10.5 days", 252, ""),
        (Timeline(0, 14 * 24, 1.0), "14 days", 14 * 24, ""),
        (Timeline(0, 15 * 24, 1.0), "15 days", 15, " Each point: mean of one day."),
        (Timeline(0, 100 * 24, 1.0), "100 days", 100, " Each point: mean of one day."),
        (Timeline(0, 105 * 24, 1.0), "105 days", 15, " Each point: mean of one week."),
    ],
)
def test_the_length_of_a_run_is_told_and_what_its_points_are(
    timeline: Timeline, span: str, points: int, note: str
):
    assert (timeline.span, len(timeline.firsts), timeline.note) == (span, points, note)


def test_a_step_is_named_by_its_beginning():
    assert Timeline(6.5, 24, 0.5).name(3) == "at 08:00"
    assert Timeline(6.5, 96, 0.5).name(36) == "on day 2 at 00:30"


def test_a_mean_is_weighed_over_the_steps_that_have_a_value():
    """Fifteen days; 1 with weight 3 and 5 with weight 1 on the first, nothing on the second."""
    timeline, values, weights = Timeline(0, 360, 1.0), np.full(360, np.nan), np.zeros(360)
    values[[2, 5]], weights[[2, 5]], values[48:] = (1.0, 5.0), (3.0, 1.0), 7.0
    weights[48:] = 2.0
    assert timeline.mean(values, weights) == pytest.approx([2, np.nan, *[7] * 13], nan_ok=True)
    assert timeline.mean(values)[0] == 3


def test_hours_and_days_hold_the_mean_of_their_steps():
    """50 half-hour steps from 23:30 on: one half hour, a whole day, and half an hour."""
    values = np.arange(50.0)
    table = Timeline(23.5, 50, 0.5).by_hour_and_day(values)
    assert table.shape == (24, 3)
    assert table[23, 0] == 0 and np.isnan(table[:23, 0]).all()
    assert table[:, 1] == pytest.approx(np.arange(1.5, 49, 2))
    assert table[0, 2] == 49 and np.isnan(table[1:, 2]).all()


@pytest.mark.slow
def test_a_long_run_shows_what_repeats_every_day(variant: Any):
    """Daily means of charge, power and price are flat; hour against day is not."""
    data = variant("a month")
    soc = energy.stored_kwh(data)[1:] / data.members["battery_capacity_kwh"].sum()
    for name, shown in (
        ("soc_heatmap", soc),
        ("price_forecast", data.price("market_price")),
        (
            "battery_usage",
            data.total("battery_charge_kwh") - data.total("battery_discharge_kwh"),
        ),
    ):
        (image,) = FIGURES[name](data).axes[0].images
        assert np.asarray(image.get_array()).T.ravel() == pytest.approx(shown), name


def test_step_by_step_figures_are_not_cumulative(day: Results, drawn: dict[str, Figure]):
    """Trap 24: what is drawn, times the length of a step, is the energy of the file, step by step."""
    ((values, _, base),) = bands_of(drawn["energy_balance"], 0, COLOUR["pv"])
    pv = per_step(day, "prosumer_energy.csv", "pv_kwh")
    assert values - base == pytest.approx(pv)
    ((values, _, base),) = bands_of(drawn["trading_activity"], 1, COLOUR["p2p"])
    trades = [row for row in rows(day, "all_trades.csv") if row["trade_type"] == "p2p"]
    counts = [sum(int(row["timestep"]) == t for row in trades) for t in range(24)]
    assert (values - base).tolist() == counts


# ---------------------------------------------------------------- numbers behind the figures


def test_both_sides_of_the_energy_balance_are_equal_in_every_step(drawn: dict[str, Figure]):
    patches = drawn["energy_balance"].axes[0].patches
    heights = [band.get_data()[0] - band.get_data()[2] for band in patches]
    assert np.sum(heights, axis=0) == pytest.approx(np.zeros(24), abs=1e-9)


def test_load_is_shared_out_over_its_sources_without_rest(day: Results):
    parts = energy.sources_of_load(day)
    load = per_step(day, "prosumer_energy.csv", "load_kwh")
    assert sum(parts.values()).sum(axis=1) == pytest.approx(load)
    own, battery = 0.0, 0.0
    for row in rows(day, "prosumer_energy.csv"):
        at_once = min(float(row["pv_kwh"]), float(row["load_kwh"]))
        own += at_once
        battery += min(float(row["load_kwh"]) - at_once, float(row["battery_discharge_kwh"]))
    assert parts["own PV"].sum() == pytest.approx(own)
    assert parts["own battery"].sum() == pytest.approx(battery)


def test_pv_is_shared_out_over_its_uses_and_the_home_keeps_what_the_file_says(day: Results):
    parts = energy.uses_of_pv(day)
    assert sum(parts.values()).sum(axis=1) == pytest.approx(
        per_step(day, "prosumer_energy.csv", "pv_kwh")
    )
    kept = (parts["used at once at home"] + parts["into own battery"]).sum(axis=1)
    assert kept == pytest.approx(per_step(day, "prosumer_energy.csv", "renewable_used_kwh"))


def test_exchange_with_outside_is_the_community_import_and_export_of_the_summary(day: Results):
    taken, given = energy.outside(day)
    summary = json.loads((day.folder / "summary.json").read_text())
    assert taken.sum() == pytest.approx(summary["community_import_kwh"])
    assert given.sum() == pytest.approx(summary["community_export_kwh"])


def test_every_headline_ends_as_far_from_the_edge_as_it_begins(drawn: dict[str, Figure]):
    for name, fig in drawn.items():
        for text in fig.texts[:2]:
            assert text.get_window_extent().x1 <= 0.9701 * fig.bbox.width, f"{name}: {text}"


def test_a_title_without_end_is_no_loop_without_end() -> None:
    """Letters have a smallest size."""
    assert style.canvas("x" * 3000, "")[0].texts[0].get_fontsize() >= 1


def test_a_rule_that_is_none_is_no_traceback(copy: Path) -> None:
    params = json.loads((copy / "params.json").read_text()) | {"MARKET_MECHANISM": ["huang"]}
    (copy / "params.json").write_text(json.dumps(params))
    assert laid_out("price_dynamics", Results(copy)).axes


def test_nothing_is_drawn_beyond_the_axes(drawn: dict[str, Figure], variant: Any) -> None:
    """With a bonus of 0.6 EUR/kWh buyers bid above every other price. merit_order says where it is cut."""
    faults = {name: out_of_sight(fig) for name, fig in drawn.items() if name != "merit_order"}
    faults["dear neighbours"] = out_of_sight(laid_out("price_dynamics", variant("dear neighbours")))
    assert {name: told for name, told in faults.items() if told} == {}
    told = title("price_dynamics", variant("dear neighbours"))
    assert "within the market's prices in none of the " in told


def test_netting_is_told_apart_from_what_batteries_do(
    day: Results, drawn: dict[str, Figure], variant: Any
):
    """Surplus and lack of one hour cancel behind one meter; what goes below that, batteries traded.

    Where they trade nothing both curves are one: it is drawn once, and the key speaks of no batteries.
    """
    lack, left = (
        per_step(day, "community_summary.csv", f"{n}_kwh") for n in ("deficit", "surplus")
    )
    entries = [text.split("\n") for text in key_colours(drawn["community_net_power"])]
    assert [entry[0].split(":")[0] for entry in entries] == [
        "home by home",
        "netted",
        "as one community",
    ]
    due_in, due_out = np.maximum(lack - left, 0).sum(), np.maximum(left - lack, 0).sum()
    told = f"in {style.amount(due_in, 'kWh')},", f"out {style.amount(due_out, 'kWh')}"
    assert tuple(entries[1][-2:]) == told
    alike = FIGURES["community_net_power"](variant("shared bill"))
    count = [len(fig.axes[0].patches) for fig in (drawn["community_net_power"], alike)]
    assert count[0] == count[1] + 1
    told = [text.split(":")[0] for text in key_colours(alike)]
    assert told == ["home by home", "as one community"]


def test_p2p_energy_that_passed_through_batteries_is_told_where_it_is_not_drawn(day: Results):
    """Else one figure says 395 kWh of P2P, the next 212 and the next 198."""
    whole = per_step(day, "prosumer_energy.csv", "p2p_bought_kwh").sum()
    for name, parts, kind in (
        ("energy_by_source", energy.sources_of_load(day), "neighbours (P2P)"),
        ("renewable_usage", energy.uses_of_pv(day), "to neighbours (P2P)"),
    ):
        rest = style.amount(whole - parts[kind].sum(), "kWh")
        subtitle = FIGURES[name](day).texts[1].get_text()
        assert f"{rest} of {style.amount(whole, 'kWh')} P2P" in subtitle


def test_the_batteries_end_is_told_beside_what_they_served(day: Results, variant: Any):
    """Own roof and battery served 89 %, self-sufficiency is 85 %: the start's charge makes the difference."""
    members = json.loads((day.folder / "prosumers.json").read_text())
    change = sum(m["final_level_kwh"] - m["initial_level_kwh"] for m in members)
    assert change < 0
    told = f"end with {style.amount(-change, 'kWh')} less"
    assert f"they {told}." in FIGURES["energy_by_source"](day).texts[1].get_text()
    assert title("battery_usage", day).endswith(told)
    nobody = FIGURES["energy_by_source"](variant("consumers only"))
    assert "end with" not in nobody.texts[1].get_text()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--set", "MARKET_MECHANISM=huang", "--seed", "5"),
        ("--set", "REGULATOR_OBJECTIVE=maximize_p2p", "--set", "NUM_CONSUMERS=20"),
    ],
)
def test_orders_of_batteries_are_told_from_those_of_homes_by_the_files(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    runs: list[simulator.Run] = []
    real = simulator.run
    monkeypatch.setattr(simulator, "run", lambda *a, **k: runs.append(real(*a, **k)) or runs[-1])
    data = Results(save_run(tmp_path / "results", *options, "--set", "CONSENSUS=none"))
    for step, result in enumerate(runs[0].steps):
        orders = result.orders
        due = [
            orders.energy_wh[orders.of_battery & (orders.is_sale == sale)].sum() / 1000
            for sale in (True, False)
        ]
        assert list(offers.of_batteries(data, step)) == pytest.approx(due), f"step {step}"


def test_an_axis_that_leaves_offers_out_says_where_it_ends(day: Results, drawn: dict[str, Figure]):
    order, (ax,) = offers.merit_curves(day)[0], drawn["merit_order"].axes
    longest = max(order.ask_kwh.sum(), order.bid_kwh.sum())
    assert ("cut at" in ax.get_xlabel()) == (ax.get_xlim()[1] < longest)


def test_the_curves_of_the_merit_order_cross_where_the_market_cleared(day: Results):
    order, _ = offers.merit_curves(day)
    traded = [float(row["p2p_kwh"]) for row in rows(day, "community_summary.csv")]
    assert order.cleared_kwh == pytest.approx(traded[order.step])
    assert (np.diff(order.ask_eur_per_kwh) >= 0).all()
    assert (np.diff(order.bid_eur_per_kwh) <= 0).all()
    asks, bids = [], []
    for row in rows(day, "prosumer_trading.csv"):
        if int(row["timestep"]) == order.step and float(row["order_kwh"]) > 0:
            side = asks if row["role"] == "seller" else bids
            watt_hours = round(float(row["order_kwh"]) * 1000)
            side += [float(row["limit_price_eur_per_kwh"])] * watt_hours
    pairs = zip(sorted(asks), sorted(bids, reverse=True), strict=False)
    gains = [bid - ask for ask, bid in pairs if bid >= ask]
    assert len(gains) / 1000 == pytest.approx(order.cleared_kwh)
    assert sum(gains) / 1000 == pytest.approx(order.gain_eur)


def sides(*prices_of_step: tuple[list[float], list[float]]) -> list[pd.DataFrame]:
    """(asks, bids) of steps 0, 1, 2 ... as tables."""
    return [
        pd.DataFrame(
            [(t, price) for t, step in enumerate(prices_of_step) for price in step[side]],
            columns=["timestep", "limit_price_eur_per_kwh"],
        )
        for side in (0, 1)
    ]


def test_the_merit_order_shows_a_step_whose_offers_differ():
    """All bids equal; both differ, but each bid meets each ask; a bid that some ask does not meet."""
    flat, differ, unlike = ([1.0, 2], [3.0, 3]), ([1.0, 2], [3.0, 4]), ([1.0, 3], [2.0, 4])
    for steps, told in (((flat, differ, unlike), 2), ((flat, differ, flat), 1), ((flat, flat), 0)):
        traded = pd.DataFrame({"p2p_kwh": [9.0, 5, 1][: len(steps)]})
        run: Any = SimpleNamespace(shape=(len(steps), 2), community=traded)
        assert offers.telling_step(run, *sides(*steps))[0] == told
    run = SimpleNamespace(shape=(2, 2), community=pd.DataFrame({"p2p_kwh": [1.0, 5]}))
    assert offers.telling_step(run, *sides(unlike, unlike))[0] == 1
    one_bid_price = [1.0, 3], [2.0, 2]
    assert offers.telling_step(run, *sides(unlike, one_bid_price))[0] == 0


def test_a_merit_order_without_trade_is_not_told_as_that_of_most_trade():
    """Under huang the marginal bid and ask drop out, so two members offer and trade nothing."""
    step: Any = ([1.0], [2.0])
    run: Any = SimpleNamespace(shape=(2, 2), community=pd.DataFrame({"p2p_kwh": [0.0, 0]}))
    assert offers.telling_step(run, *sides(step, step)) == (
        0,
        "Of the steps with asks and bids, the first; none has P2P energy",
    )


def test_batteries_without_sun_are_told_as_what_serves_first(copy: Path):
    table = pd.read_csv(copy / "prosumer_energy.csv")
    table["pv_kwh"] = 0.0
    table.to_csv(copy / "prosumer_energy.csv", index=False)
    below = FIGURES["energy_by_source"](Results(copy)).texts[1].get_text()
    assert below.startswith("Own batteries serve first; ")


def test_the_bids_and_asks_of_the_merit_order_of_the_day_differ(day: Results):
    order, _ = offers.merit_curves(day)
    assert np.ptp(order.ask_eur_per_kwh) > 0 and np.ptp(order.bid_eur_per_kwh) > 0


def test_the_merit_order_marks_the_prices_of_the_trades(day: Results, drawn: dict[str, Figure]):
    """Midway between bid and ask, so between the curves; as far as energy was traded."""
    step = offers.merit_curves(day)[0].step
    made = [r for r in rows(day, "all_trades.csv") if int(r["timestep"]) == step]
    made = [r for r in made if r["trade_type"] == "p2p"]
    lines = [p for p in drawn["merit_order"].axes[0].patches if not p.get_fill()]
    (values, edges, _), *more = [line.get_data() for line in lines]
    assert not more and values == pytest.approx([float(r["price_eur_per_kwh"]) for r in made])
    assert edges[-1] == pytest.approx(sum(float(r["energy_kwh"]) for r in made))
    (told,) = [text for text in key_colours(drawn["merit_order"]) if text.startswith("price of")]
    assert f"{min(values):.3f} to {max(values):.3f} EUR/kWh" in told


def test_where_a_rule_has_two_prices_both_are_shown_and_named(variant: Any):
    """What buyers pay in all is what sellers get and what the aggregator keeps."""
    data = variant("two prices")
    kept = [r for r in rows(data, "transfers.csv") if r["reason"] == "auction_spread"]
    energy_kwh = data.community["p2p_kwh"].to_numpy()
    assert (data.spread * energy_kwh).sum() == pytest.approx(
        sum(float(r["amount_eur"]) for r in kept)
    )
    got_eur = (np.nan_to_num(data.price("p2p_price")) * energy_kwh).sum()
    paid_eur = got_eur + sum(float(r["amount_eur"]) for r in kept)
    got, paid = got_eur / energy_kwh.sum(), paid_eur / energy_kwh.sum()
    fig = laid_out("price_dynamics", data)
    told = f"P2P sellers get {got:.3f} EUR/kWh, buyers pay {paid:.3f}"
    assert fig.texts[0].get_text().startswith(told)
    texts = "|".join(key_colours(fig)).replace("\n", " ")
    assert "what buyers pay" in texts and "what sellers get" in texts
    assert "lowest to highest" not in texts
    texts = "|".join(key_colours(laid_out("merit_order", data)))
    assert "what buyers pay" in texts and "price of the trades" not in texts
    assert "sellers" in laid_out("trade_volume_analysis", data).axes[1].get_xlabel()


def test_one_price_has_no_lowest_and_highest(day: Results, drawn: dict[str, Figure]):
    low, high = prices.p2p_price_range(day)
    told = [text for text in key_colours(drawn["price_dynamics"]) if "lowest" in text]
    assert bool(told) == bool((high > low).any())
    assert not [text for text in key_colours(drawn["price_dynamics"]) if "buyers pay" in text]


def test_trades_that_are_settled_at_the_end_have_no_price_in_any_figure(variant: Any):
    data = variant("shared bill")
    assert "no price of its own" in title("price_dynamics", data)
    assert not [text for text in key_colours(laid_out("price_dynamics", data)) if "P2P" in text]
    fig = laid_out("trade_volume_analysis", data)
    (ax,) = fig.axes
    assert "Price" not in ax.get_xlabel() and "has no price" in fig.texts[1].get_text()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("two prices", "with a neighbour, in the local market and at the utility."),
        ("shared by ratio", "with a neighbour and at the utility."),
        ("shared bill", "at the utility."),
        ("consumers only", "in the local market and at the utility."),
    ],
)
def test_the_price_figure_promises_the_prices_that_it_draws(name: str, told: str, variant: Any):
    fig = laid_out("price_dynamics", variant(name))
    assert fig.texts[1].get_text() == f"What a kWh costs, and earns, {told}"
    drawn = " ".join(key_colours(fig))
    for word, place in (("P2P", "neighbour"), ("local market", "market"), ("utility", "utility")):
        assert (word in drawn) == (place in told)


def test_one_price_of_all_trades_is_a_bar_in_the_middle_of_its_axis(copy: Path):
    path = copy / "all_trades.csv"
    table = pd.read_csv(path)
    table["price_eur_per_kwh"] = 0.175
    table.to_csv(path, index=False)
    ax = laid_out("trade_volume_analysis", Results(copy)).axes[1]
    low, high = ax.get_xlim()
    assert (low + high) / 2 == pytest.approx(0.175) and high - low > 0.02
    values, edges, _ = ax.patches[0].get_data()
    (bar,) = np.flatnonzero(values)
    assert edges[bar] < 0.175 < edges[bar + 1]


def test_no_figure_mixes_units_of_price(drawn: dict[str, Figure]):
    for name, fig in drawn.items():
        assert not [
            text.get_text() for text, _ in shown_texts(fig) if "ct/kWh" in text.get_text()
        ], name


def test_pairs_of_the_network_hold_all_p2p_energy(day: Results):
    """Two that traded in both directions are one pair."""
    pairs, total = trades.p2p_pairs(day), defaultdict(float)
    for row in rows(day, "all_trades.csv"):
        if row["trade_type"] == "p2p":
            low, high = sorted([int(row["seller_id"]), int(row["buyer_id"])])
            total[low, high] += float(row["energy_kwh"])
    assert len(pairs) == len(total)
    assert pairs["energy_kwh"][0] == pytest.approx(max(total.values()))
    found = {(s, b): e for s, b, e in pairs.itertuples(index=False)}
    assert found == pytest.approx(dict(total))


def test_the_network_draws_the_strongest_pairs_the_darker_the_more_energy(
    day: Results, drawn: dict[str, Figure]
):
    pairs, fig = trades.p2p_pairs(day), drawn["trade_network"]
    assert len(pairs) > 300 and fig.texts[1].get_text().startswith("The 300 strongest pairs that")
    lines, _ = fig.axes[0].collections
    dark = lines.get_colors()[:, 3]
    assert len(dark) == 300 and (np.diff(dark) >= 0).all() and dark[-1] == pytest.approx(1)
    least, most = pairs["energy_kwh"][299], pairs["energy_kwh"][0]
    wide = np.array(lines.get_linewidths())
    part = (pairs["energy_kwh"][:300].to_numpy()[::-1] - least) / (most - least)
    assert (wide - wide[0]) / (wide[-1] - wide[0]) == pytest.approx(part)


@pytest.mark.parametrize("steps", [1, 2, 24])
def test_the_network_names_those_who_trade_most(steps: int, tmp_path: Path):
    """Also where one of them stands at the side of the circle, which is as wide as the names leave room for."""
    data = Results(save_run(tmp_path / "results", "--steps", str(steps)))
    fig = laid_out("trade_network", data)
    named = {text.get_text() for text in fig.axes[0].texts}
    with open(data.folder / "all_trades.csv", newline="") as file:
        made = [row for row in csv.DictReader(file) if row["trade_type"] == "p2p"]
    for side in ("seller_id", "buyer_id"):
        totals: Counter[int] = Counter()
        for row in made:
            totals[int(row[side])] += float(row["energy_kwh"])
        assert data.home[totals.most_common(1)[0][0]] in named


def test_the_five_who_sell_and_buy_most_are_named(day: Results, drawn: dict[str, Figure]):
    ranks = drawn["trade_network"].axes[1]
    names, ends = [t.get_text() for t in ranks.get_yticklabels()], [p.get_width() for p in ranks.patches]  # fmt: skip
    due: list[tuple[str, float]] = []
    for side in ("seller", "buyer"):
        total: dict[int, float] = defaultdict(float)
        for row in rows(day, "all_trades.csv"):
            if row["trade_type"] == "p2p":
                total[int(row[f"{side}_id"])] += float(row["energy_kwh"])
        due.append((f"{'sold' if side == 'seller' else 'bought'} most:", 0.0))
        best = sorted(total, key=lambda member: -total[member])[:5]
        due += [(f"home {day.home[member]}", total[member]) for member in best]
    assert names == [name for name, _ in due] and ends == pytest.approx([kwh for _, kwh in due])


def test_p2p_prices_span_those_of_the_trades(day: Results):
    low, high = prices.p2p_price_range(day)
    paid = defaultdict(list)
    for row in rows(day, "all_trades.csv"):
        if row["trade_type"] == "p2p":
            paid[int(row["timestep"])].append(float(row["price_eur_per_kwh"]))
    for t in range(24):
        assert math.isnan(low[t]) != (t in paid)
        if t in paid:
            assert (low[t], high[t]) == (min(paid[t]), max(paid[t]))


def test_savings_of_the_members_add_up_to_those_of_the_summary(day: Results):
    summary = json.loads((day.folder / "summary.json").read_text())
    bills = day.bills
    assert bills["saving"].sum() == pytest.approx(summary["savings_eur"], abs=1e-4)
    assert bills["here"].sum() == pytest.approx(summary["net_cost_eur"], abs=1e-4)
    assert bills["alone"].sum() == pytest.approx(summary["net_cost_alone_eur"], abs=1e-4)


def test_best_and_worst_are_the_ends_of_the_savings(day: Results):
    saving = day.bills["saving"]
    assert [saving[member] for member in members.best_and_worst(day)] == [
        saving.max(),
        saving.min(),
    ]


@pytest.mark.parametrize(
    "values", [[1.0, 1.0, 1.0], [0.0, 0.0, 5.0], [3.0, 1.0, 2.0, 7.5], [-2.0, 1.0, 4.0]]
)
def test_gini_is_the_mean_difference_over_twice_the_mean(values: list[float]):
    x = np.array(values)
    curve, gini = money.lorenz(x)
    apart = np.abs(x[:, None] - x[None, :]).sum()
    assert gini == pytest.approx(apart / (2 * len(x) ** 2 * x.mean()))
    assert (curve[0], curve[-1]) == (0, pytest.approx(1))
    assert (np.diff(curve, 2) >= -1e-12).all()


def test_a_lorenz_curve_with_losers_dips_below_zero():
    curve, _ = money.lorenz(np.array([-2.0, 1.0, 4.0]))
    assert curve.min() < 0


def test_what_the_best_fifth_saves_is_no_part_where_members_lose():
    assert money.what_the_best_fifth_saves(np.array([0.0, 1, 0, 7, 2])) == (
        "the fifth that saves most has 70 % of the savings"
    )
    assert money.what_the_best_fifth_saves(np.array([-9.0, 1, 0, 12, 1])) == (
        "the fifth that saves most saves 12.0 EUR, all together 5.00 EUR"
    )
    ten_and_more = pd.Series([1.0] * 10 + [0.0] * 5)
    assert members.what_the_best_save(ten_and_more, "7").startswith("The ten best make 100 %")
    ten_and_more[14] = -4.0
    assert members.what_the_best_save(ten_and_more, "7") == (
        "The ten best save 10.0 EUR, all together 6.00 EUR"
    )


def test_who_pays_more_has_a_ring(day: Results, drawn: dict[str, Figure]):
    """A line of a few cents hides behind its dots."""
    lose = int((day.bills["saving"] < -0.0005).sum())
    here = drawn["bill_before_after"].axes[0].collections[-1]
    assert lose and int((np.array(here.get_linewidths()) > 0).sum()) == lose
    assert f"pays more here ({lose})" in key_colours(drawn["bill_before_after"])


def test_money_by_party_is_the_change_of_the_accounts(day: Results):
    received, paid = money.money_flows(day)
    net = (received - paid).sum(axis=0)
    assert net.sum() == pytest.approx(0, abs=1e-9)
    changes: dict[str, float] = defaultdict(float)
    for row in rows(day, "accounts.csv"):
        kind = "members" if row["kind"] in ("prosumer", "consumer", "storage") else row["kind"]
        kind = "miners" if kind == "miner" else kind
        changes[kind] += float(row["balance_eur"]) - float(row["opening_eur"])
    assert dict(zip(money.PARTIES, net, strict=True)) == pytest.approx(dict(changes))


def test_money_by_party_tells_changes_whatever_the_wallets_were(tmp_path: Path):
    """Members that began with 120 EUR together and gained 9 end with 129, not with 9."""
    options = ("--set=INITIAL_WALLET=10", "--set=NUM_PROSUMERS=12", "--set=CONSENSUS=none")
    data, change, end = Results(save_run(tmp_path / "results", *options)), 0.0, 0.0
    for row in rows(data, "accounts.csv"):
        if row["kind"] == "prosumer":
            change += float(row["balance_eur"]) - float(row["opening_eur"])
            end += float(row["balance_eur"])
    assert end == pytest.approx(change + 120)
    first, second = (text.get_text() for text in FIGURES["money_by_party"](data).texts[:2])
    verb = "gain" if change > 0 else "lose"
    assert f"{verb} {style.amount(abs(change), 'EUR')}, " in first and "end with" not in first
    assert "remains" not in second and "Stored energy is not valued" in second
    assert (money.gained(-3), money.gained(2, 5)) == ("loses 3.00 EUR", "gain 2.00 EUR")
    assert money.gained(-0.001) == "gains 0 EUR"


def test_the_regulators_figure_shows_its_transfers(day: Results, drawn: dict[str, Figure]):
    penalties = np.zeros(24)
    for row in rows(day, "transfers.csv"):
        if row["reason"] == "market_penalty":
            penalties[int(row["timestep"])] += float(row["amount_eur"])
    ((values, _, base),) = bands_of(drawn["regulator_impact"], 0, COLOUR["market"])
    assert values - base == pytest.approx(penalties)
    summary = json.loads((day.folder / "summary.json").read_text())
    account = drawn["regulator_impact"].axes[1].lines[0].get_ydata()
    assert account[-1] == pytest.approx(summary["regulator_balance_eur"])


def test_ban_hours_are_the_banned_rows_times_the_step(day: Results):
    banned = sum(row["is_banned"] == "true" for row in rows(day, "regulator_actions.csv"))
    assert sum(regulator.ban_hours(day).values()) == banned * day.timeline.step_hours


def test_states_of_charge_are_those_of_the_battery_owners(day: Results):
    soc, per_row = energy.soc_rows(day)
    owners = [
        m
        for m in json.loads((day.folder / "prosumers.json").read_text())
        if m["battery_capacity_kwh"]
    ]
    assert (soc.shape, per_row) == ((len(owners), 24), 1)
    assert (np.diff(soc.mean(axis=1)) <= 1e-12).all()
    ids = {m["prosumer_id"] for m in owners}
    last = [
        float(r["battery_soc"])
        for r in rows(day, "prosumer_energy.csv")
        if int(r["prosumer_id"]) in ids
    ][-len(ids) :]
    assert sorted(soc[:, -1]) == pytest.approx(sorted(last))


def test_a_few_batteries_are_named_by_their_homes_in_the_middle_of_their_rows(variant: Any):
    data = variant("two members")
    ax = laid_out("soc_heatmap", data).axes[0]
    owners = data.members["battery_capacity_kwh"].to_numpy() > 0
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert sorted(names) == sorted(np.array(data.home)[owners])
    low, high = sorted(ax.get_ylim())
    rows_high = (high - low) / len(names)
    assert ax.get_yticks() == pytest.approx(low + rows_high * (np.arange(len(names)) + 0.5))
    shown = np.asarray(ax.images[0].get_array())
    for name, soc in zip(names, shown, strict=True):
        assert soc == pytest.approx(data.flow("battery_soc")[:, data.home.index(name)])


def test_many_batteries_are_counted_from_one_in_the_middle_of_their_rows(
    day: Results, drawn: dict[str, Figure]
):
    ax = drawn["soc_heatmap"].axes[0]
    owners = int((day.members["battery_capacity_kwh"] > 0).sum())
    assert sorted(ax.get_ylim()) == [0.5, owners + 0.5]


def test_a_large_community_has_averaged_rows_of_charge(variant: Any):
    data = variant("a thousand")
    soc, per_row = energy.soc_rows(data)
    assert len(soc) <= 240 and per_row > 1
    owners = data.members["battery_capacity_kwh"].to_numpy() > 0
    assert soc[:-1].mean() == pytest.approx(data.flow("battery_soc")[:, owners].mean(), abs=0.01)
    assert len(soc) == math.ceil(owners.sum() / per_row)
    subtitle = FIGURES["soc_heatmap"](data).texts[1].get_text()
    assert subtitle.endswith(f", the fullest on top. Each row: mean of {per_row}.")


@pytest.mark.parametrize(("draws", "chance"), [(31, 1 / 15), (8760, 1 / 15), (5, 0.5), (200, 0.9)])
def test_the_band_of_chance_is_the_binomial_one(draws: int, chance: float):
    binom = pytest.importorskip("scipy.stats").binom(draws, chance)
    assert ledger.binomial_band(draws, chance) == (binom.ppf(0.025), binom.ppf(0.975))


def test_the_band_of_chance_covers_certainty_and_impossibility():
    assert ledger.binomial_band(7, 1.0) == (7, 7)
    assert ledger.binomial_band(7, 0.0) == (0, 0)
    assert ledger.binomial_band(0, 0.3) == (0, 0)


def test_how_many_fall_outside_by_chance_is_told_as_a_mean(drawn: dict[str, Figure]):
    """Each of 15 is outside with probability 0.05 or less, so on average 15 x 0.05 = 0.75 or fewer are."""
    told = drawn["mining_race"].texts[1].get_text()
    assert "on average at most 0.75 of 15 fall outside by chance" in told


def test_the_race_tells_who_won_within_the_range(day: Results, variant: Any, copy: Path):
    """As "0 of 15 won outside" it said no twice.

    Where one of 15 wins all 31 blocks, it alone is outside: no block at all has a chance of 12 %.
    """
    low, high = ledger.binomial_band(31, 1 / 15)
    inside = [low <= won <= high for won in np.bincount(day.blocks["miner"], minlength=15)]
    who = "All 15" if all(inside) else f"{sum(inside)} of 15"
    assert title("mining_race", day) == f"{who} miners won within the 95 % range of chance"
    assert "validators won within" in title("mining_race", variant("stake"))
    table = pd.read_csv(copy / "blocks.csv")
    table["miner"] = 4
    table.to_csv(copy / "blocks.csv", index=False)
    assert title("mining_race", Results(copy)).startswith("14 of 15 miners won within")
    assert ledger.so_many(1, 1, "miner") == "The one miner"


def chances_by_hand(power: list[int], difficulty: int, heights: range) -> np.ndarray:
    """Attempt by attempt: who tries next finds the block unless somebody did before; rounds follow each other."""
    won, hit = np.zeros(len(power)), 16.0**-difficulty
    for height in heights:
        reached, of_round = 1.0, np.zeros(len(power))
        for turn in range(len(power)):
            miner = (height + turn) % len(power)
            for _ in range(power[miner]):
                of_round[miner] += reached * hit
                reached *= 1 - hit
        won += of_round / (1 - reached)  # what a round leaves goes to the next in the same parts
    return won / len(heights)


def test_chances_follow_stake_and_hash_power(day: Results, variant: Any, copy: Path):
    heights = range(1, len(day.blocks) + 1)
    assert ledger.mining_chances(day) == pytest.approx(chances_by_hand([1] * 15, 3, heights))
    assert ledger.mining_chances(day) == pytest.approx(np.full(15, 1 / 15), rel=15 / 16**3)
    stakes = variant("stake").params["VALIDATOR_STAKES"]
    assert ledger.mining_chances(variant("stake")) == pytest.approx(np.array(stakes) / sum(stakes))
    params = json.loads((copy / "params.json").read_text())
    power = [*range(1, 16)]
    for difficulty in (1, 6):
        hashing = {"MINER_HASH_POWER": power, "DIFFICULTY_TARGET": difficulty}
        (copy / "params.json").write_text(json.dumps(params | hashing))
        found = ledger.mining_chances(Results(copy))
        assert found == pytest.approx(chances_by_hand(power, difficulty, heights), rel=1e-7)
    assert found == pytest.approx(np.array(power) / 120, rel=120 / 16**6), "a short round: by power"


def test_a_miner_that_the_settings_do_not_know_has_an_equal_chance(copy: Path):
    """Settings of 15 miners, and a block of a sixteenth: weights that do not fit are left out."""
    table = pd.read_csv(copy / "blocks.csv")
    table.loc[3, "miner"] = 15
    table.to_csv(copy / "blocks.csv", index=False)
    heights = range(1, len(table))
    told = ledger.mining_chances(Results(copy))
    assert told == pytest.approx(chances_by_hand([1] * 16, 3, heights))


def test_unequal_chances_are_expected_each_by_its_own(variant: Any):
    fig = laid_out("mining_race", variant("stake"))
    assert "expected: by its chance" in key_colours(fig)
    (line,) = [p for p in fig.axes[0].patches if isinstance(p, StepPatch) and not p.get_fill()]
    blocks = len(variant("stake").blocks)
    assert line.get_data().values == pytest.approx(blocks * ledger.mining_chances(variant("stake")))


@pytest.mark.parametrize(
    ("blocks", "most", "edges"),
    [
        (4, 30, [0, 5, 10, 15, 20, 25, 30]),
        (100, 40, [*range(0, 41, 2)]),  # twice the root of 100 are 20 classes
        (10_000, 100, [*range(0, 101, 2)]),  # 50 at most
        (4, 4, [0, 1, 2, 3, 4]),  # a class of less than a hash is none
        (4, 10, [0, 2, 4, 5, 7, 9, 10]),
    ],
)
def test_classes_of_hashes_end_at_whole_numbers(blocks: int, most: int, edges: list[int]):
    assert ledger.hash_edges(np.full(blocks, most)).tolist() == edges


def test_expected_hashes_follow_the_geometric_law():
    geom = pytest.importorskip("scipy.stats").geom(1 / 4096)
    edges = np.array([0, 1, 1000, 5000, 20_000])
    assert ledger.expected_blocks(edges, 31, 1 / 4096) == pytest.approx(
        31 * np.diff(geom.cdf(edges))
    )


def test_each_block_is_counted_once_in_the_classes_of_hashes(
    day: Results, drawn: dict[str, Figure]
):
    ((values, _, _),) = bands_of(drawn["hashes_per_block"], 0, COLOUR["ledger"])
    assert values.sum() == len(rows(day, "blocks.csv")) - 1


def test_self_sufficiency_counts_neither_what_was_bought_nor_the_initial_charge(day: Results):
    """What a battery sold was not used at home: of what others put in and of what it began with it goes first."""
    listed = json.loads((day.folder / "prosumers.json").read_text())
    load, sun, from_battery, filled, sold = np.zeros((5, len(listed)))
    for row in rows(day, "prosumer_energy.csv"):
        i = int(row["prosumer_id"])
        made, used, charged, given = (
            float(row[f"{flow}_kwh"])
            for flow in ("pv", "load", "battery_charge", "battery_discharge")
        )
        at_once = min(made, used)
        at_home = min(given, used - at_once)
        load[i] += used
        sun[i] += at_once
        from_battery[i] += at_home
        sold[i] += given - at_home
        filled[i] += max(0, charged - (made - at_once))
    began = np.array([max(0, -member["stored_change_kwh"]) for member in listed])
    of_others = np.minimum(np.maximum(filled + began - sold, 0), from_battery)
    found = members.self_sufficiency(day)
    assert (sold > 0).any() and (filled > 0).any() and (began > 0).any()
    assert found == pytest.approx((sun + from_battery - of_others) / load, abs=1e-9)
    assert (found >= sun / load - 1e-9).all(), "what the own roof served at once is its own"


def test_of_many_miners_each_that_won_has_a_line(tmp_path: Path):
    """A bar that is thinner than a pixel is not drawn at all."""
    many = ("--set=NUM_MINERS=2000", "--set=DIFFICULTY_TARGET=1", "--set=NUM_PROSUMERS=9")
    data = Results(save_run(tmp_path / "results", *many))
    (ax,) = laid_out("mining_race", data).axes
    (lines,) = (c for c in ax.collections if isinstance(c, LineCollection))
    won = Counter(int(row["miner"]) for row in rows(data, "blocks.csv")[1:])
    assert len(won) > 3 and lines.get_linewidth()[0] >= 1
    drawn = {int(x): int(top) for (x, _), (_, top) in lines.get_segments()}
    assert drawn == dict(won)


def test_an_axis_of_prices_that_are_all_0_can_be_read(tmp_path: Path):
    free = [f"--set={name}=0" for name in ("RETAIL_PRICE", "FEED_IN_PRICE", "BASE_PRICE")]
    data = Results(save_run(tmp_path / "results", *free, "--set=NUM_PROSUMERS=3", "--steps=4"))
    top = laid_out("price_forecast", data).axes[0]
    assert top.get_ylim() == (0, pytest.approx(0.011))
    assert max(len(label.get_text()) for label in top.get_yticklabels()) <= len("0.010")


def test_what_a_home_owns_is_told_in_three_digits_or_to_the_unit():
    values = (2.5, 12.345, 999.4, 999.6, 1234.4, 1e6)
    assert [size(value) for value in values] == [
        "2.5",
        "12.3",
        "999",
        "1,000",
        "1,234",
        "1,000,000",
    ]


# ---------------------------------------------------------------- manners


def test_drawing_leaves_matplotlibs_settings_and_random_numbers_alone(day: Results):
    settings, state = dict(matplotlib.rcParams), np.random.get_state()[1].copy()  # noqa: NPY002
    for name in ("home_type_analysis", "balance_distribution", "prosumer_performance"):
        FIGURES[name](day)
    assert dict(matplotlib.rcParams) == settings
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_a_users_own_style_does_not_change_a_figure(copy: Path):
    """1600 x 900, light, nothing cut off: also where a matplotlibrc or a notebook has set other things."""
    (path,) = plots.plot_all(copy, only="energy_balance")
    plain = path.read_bytes()
    with matplotlib.rc_context():
        matplotlib.style.use("dark_background")
        matplotlib.rcParams.update(
            {"savefig.bbox": "tight", "savefig.dpi": 300, "font.family": "serif"}
        )
        theirs = dict(matplotlib.rcParams)
        plots.plot_all(copy, only=["energy_balance"])
        assert dict(matplotlib.rcParams) == theirs
    assert path.read_bytes() == plain


def test_a_figure_that_fails_leaves_the_earlier_picture_and_no_litter(
    copy: Path, monkeypatch: pytest.MonkeyPatch
):
    (path,) = plots.plot_all(copy, only=["ban_timeline"])
    earlier = path.read_bytes()

    class Broken(Figure):
        def savefig(self, fname: Any, **kwargs: Any) -> None:
            Path(fname).write_bytes(b"half a pict")
            raise KeyboardInterrupt

    monkeypatch.setitem(FIGURES, "ban_timeline", lambda data: Broken())
    with pytest.raises(KeyboardInterrupt):
        plots.plot_all(copy, only=["ban_timeline"])
    assert path.read_bytes() == earlier
    assert list(path.parent.iterdir()) == [path]


def title(name: str, data: Results) -> str:
    return FIGURES[name](data).texts[0].get_text()


def test_a_title_says_who_served_whom_no_roof_serves(variant: Any):
    fig = FIGURES["energy_by_source"](variant("consumers only"))
    told, below = (text.get_text() for text in fig.texts[:2])
    assert told.startswith("The local market served") and "own" not in told
    assert below == "All of it is bought."
    (key, *_) = key_colours(FIGURES["community_net_power"](variant("consumers only")))
    assert "after own batteries" not in key
    assert title("p2p_vs_market", variant("consumers only")).endswith("they sell nothing")
    assert trades.parts_of_p2p(1, 0, 4) == "P2P is 25 % of what members sell; they buy nothing"
    kwh = {"own PV": 2.0, "own battery": 0, "neighbours (P2P)": 1, "local market": 0, "utility": 7}
    assert energy.who_served(kwh) == (
        "The utility served 70 % of the load, own roof 20 %, neighbours 10 %"
    )
    kwh |= {"own battery": 1.0, "neighbours (P2P)": 4.0}  # 3 + 4 together, but 7 is the most of one
    assert energy.who_served(kwh) == (
        "The utility served 50 % of the load, own roof and battery 21 %, neighbours 29 %"
    )
    kwh |= {"own PV": 6.0, "neighbours (P2P)": 6.0}
    assert energy.who_served(kwh) == (
        "Own roof and battery served 35 % of the load, neighbours 30 %"
    )
    kwh |= {"own PV": 0.0, "own battery": 7.0}
    assert energy.who_served(kwh) == "Own battery served 35 % of the load, neighbours 30 %"


def test_shares_of_the_differences_are_told_with_their_measure(day: Results, variant: Any):
    for data, is_share in ((day, True), (variant("two members"), False)):
        told, below = (t.get_text() for t in FIGURES["home_type_analysis"](data).texts[:2])
        assert ("of the differences in saving" in told) == is_share
        assert below.endswith(" Shares: adjusted R\u00b2.") == is_share


def test_a_title_speaks_of_no_market_where_there_is_none(day: Results, variant: Any):
    assert "misses the price that settles by" in title("price_forecast", day)
    assert "misses the market price by" in title("price_forecast", variant("shared bill"))


def test_one_hour_is_not_all_hours(variant: Any):
    told = title("price_dynamics", variant("one step"))
    assert told.endswith("in the one hour with P2P") and "within the market's prices" in told


def test_a_home_is_called_by_its_number_or_by_its_own_name(day: Results):
    assert [day.called(7), day.called(7, "Home")] == ["home 7", "Home 7"]
    day = replace_names(day, ["A", "B12", "flat1", "Müller"])
    assert [day.called(m, "Home") for m in range(4)] == ["Home A", "Home B12", "flat1", "Müller"]


def replace_names(day: Results, names: list[str]) -> Results:
    """The same run with homes of these names."""
    other = Results(day.folder)
    other.__dict__["home"] = names
    return other


def test_two_equal_bills_are_two_dots(day: Results):
    """Who pays the same alone and here: the rim of the dot below is seen."""
    bills = day.bills.sort_values("alone", ignore_index=True)
    bills.loc[3, ["here", "saving"]] = bills.loc[3, "alone"], 0.0
    ax = matplotlib.figure.Figure().subplots()
    money.draw_bills(ax, bills)
    below, above = (dots.get_sizes() for dots in ax.collections[2:])
    assert [row for row in range(len(below)) if below[row] > 1.5 * above[0]] == [3]


def test_the_money_names_the_other_party_that_it_went_to(day: Results, variant: Any):
    """Of aggregator, utility and regulator the one whose account changes most."""
    for data in (day, variant("consumers only")):
        rows_of = {row["account_id"]: row for row in rows(data, "accounts.csv")}
        change = {
            name: float(rows_of[number]["balance_eur"]) - float(rows_of[number]["opening_eur"])
            for name, number in (("aggregator", "-1"), ("utility", "-2"), ("regulator", "-3"))
        }
        most = max(change, key=lambda name: abs(change[name]))
        told = style.amount(abs(change[most]), "EUR")
        verb = "gains" if change[most] > 0 else "loses"
        assert f", the {most} {verb} {told}; all together" in title("money_by_party", data)


def test_the_title_of_the_balances_names_what_reaches_from_lowest_to_highest(day: Results):
    """A median that "they" refer to is one."""
    balances = [float(row["balance_eur"]) for row in rows(day, "accounts.csv")][:100]
    low, high = (style.amount(f(balances), "EUR", signed=True) for f in (min, max))
    assert title("balance_distribution", day).endswith(f"; balances reach from {low} to {high}")


def test_titles_speak_of_one_member_in_the_singular(variant: Any):
    one = variant("one member")
    told = {name: title(name, one) for name in FIGURES}
    assert told["balance_distribution"].startswith("The one member ends with")
    assert told["bill_before_after"].startswith("The one member pays")
    assert not [text for text in told.values() if "1 of 1 " in text or "saves most" in text]
    assert money.who_pays_less(pd.Series([1.0, 0])).startswith("1 of 2 members pays less")
    assert money.who_pays_less(pd.Series([0.0])) == "The one member pays as much as alone here"


def test_the_price_figure_counts_the_hours_with_trade(day: Results):
    _, inside, traded = prices.p2p_in_band(day)
    assert 0 < traded < 24
    told = f"in {inside} of the {traded} hours with P2P"
    assert title("price_dynamics", day).endswith(told)


def test_a_rule_without_local_market_shows_none(variant: Any):
    """Its trades are set against the utility, which takes what neighbours leave."""
    assert {n for n, rule in MECHANISMS.items() if not rule.market_follows} == set(WITHOUT_MARKET)
    data = variant("shared by ratio")
    fig = laid_out("price_dynamics", data)
    low, high, p2p = (
        data.price(n) for n in ("grid_export_price", "grid_import_price", "p2p_price")
    )
    inside = int(((p2p >= low) & (p2p <= high)).sum())
    assert "the utility's prices" in fig.texts[0].get_text() and inside > 0
    assert prices.p2p_in_band(data)[1] == inside
    assert not [text for text in key_colours(fig) if "local market" in text]


def test_a_tariff_from_a_file_is_known_and_only_later_hours_are_forecast(tmp_path: Path):
    """Nobody pays the mean of import and export price, so the figure must not call it settled."""
    given = REPOSITORY / "examples" / "prices.csv"
    data = Results(save_run(tmp_path / "r", "--prices", str(given), "--set", "NUM_PROSUMERS=6"))
    fig = laid_out("price_forecast", data)
    assert (
        fig.texts[0].get_text().startswith("Of later hours, the forecast misses the tariff's mean")
    )
    assert "mean of import\nand export price" in key_colours(fig)
    words = "|".join([*(t.get_text() for t in fig.texts), *key_colours(fig)])
    assert "known" in words and "later hours" in words and "settle" not in words


def test_self_sufficiency_that_does_not_vary_explains_nothing():
    assert performance_in_words([0.0, 0.1, 0.0, 0.2], [1.0, 2, 3, 2]).startswith(
        "All members are < 1 % self-sufficient"
    )
    assert performance_in_words([40.0, 40.4, 40.2], [1.0, 2, 3]) == (
        "All members are 40 % self-sufficient: their savings differ for other reasons"
    )
    told = performance_in_words([30.0, 60, 90, 60], [0.0] * 4)
    assert told == "All members save the same: 0 EUR in 5 hours"
    told = performance_in_words(TEN, TEN)
    assert told == "The more self-sufficient save more (correlation +1.00)"
    assert performance_in_words(TEN[:3], [8.0, 9, 5]) == (
        "Who saves most, 9.00 EUR in 5 hours, is 20 % self-sufficient"
    )
    assert performance_in_words([40.0], [-1.0]) == (
        "The one member saves \u22121.00 EUR in 5 hours and is 40 % self-sufficient"
    )
    assert performance_in_words([], []) == "Self-sufficiency and saving of each member"


TEN = [float(x) for x in range(10, 110, 10)]


def performance_in_words(
    sufficiency: list[float], saving: list[float], group: Any = "alike"
) -> str:
    table = pd.DataFrame({"sufficiency": sufficiency, "saving": saving, "group": group})
    return members.in_words(table, "in 5 hours")


def test_the_sign_and_the_size_of_a_correlation_are_told():
    """Of ten and their negatives all; of a zigzag, 1 and 2 in turn over ten steps, 0.17."""
    assert performance_in_words(TEN, [-x for x in TEN]) == (
        "The more self-sufficient save less (correlation \u22121.00)"
    )
    assert performance_in_words(TEN, [1.0, 2.0] * 5) == (
        "Self-sufficiency hardly tells who saves (correlation +0.17)"
    )
    nearly = [0.0] * 9 + [0.0009]
    assert performance_in_words(TEN, nearly).startswith("All members save the same: 0 EUR")


def test_the_savings_of_ten_are_the_best_ones_and_of_eleven_the_ten_best():
    ten = pd.Series([float(x) for x in range(1, 11)])
    assert members.what_the_best_save(ten, "Home 7") == "Home 7 saves most: 10.0 EUR"
    assert members.what_the_best_save(ten[:1], "Home 7") == "Home 7 saves 1.00 EUR"
    eleven = pd.concat([ten, pd.Series([5.0])], ignore_index=True)  # all but the one with 1 EUR
    assert members.what_the_best_save(eleven, "Ann") == (
        "The ten best make 98 % of all savings: 59.0 EUR of 60.0 EUR"
    )


def test_who_pays_as_much_as_alone_pays_neither_less_nor_more():
    told = money.who_pays_less
    assert told(pd.Series([2.0, 1, -4])) == (
        "2 of 3 members pay less here than alone; all together 1.00 EUR more"
    )
    assert told(pd.Series([1.0, -1, 0.0004])) == (
        "1 of 3 members pays less here than alone; all together as much as alone"
    )
    assert told(pd.Series([-2.0])) == "The one member pays 2.00 EUR more here than alone"


def test_homes_that_own_different_things_are_not_compared_with_each_other():
    """In each group the self-sufficient save more, over both together they save less."""
    group = ["battery"] * 10 + ["none"] * 10
    sufficiency, saving = (
        [x / 10 + 50 for x in TEN] + [x / 10 for x in TEN],
        TEN + [x + 200 for x in TEN],
    )
    assert np.corrcoef(sufficiency, saving)[0, 1] < -0.5
    told = performance_in_words(sufficiency, saving, group)
    assert (
        told == "Among homes that own alike, the more self-sufficient save more (correlation +1.00)"
    )


def test_a_run_of_a_few_hours_is_not_made_a_day():
    five, days = Timeline(0, 5, 1.0), Timeline(0, 36, 1.0)
    assert five.per_day == (1.0, "in 5 hours")
    assert days.per_day == (1.5, "per day")


def test_the_part_that_a_grouping_explains_is_the_adjusted_r_squared():
    """Groups 1, 3 and 5, 7: 4 within, 20 in all; 1 - (4 / 2) / (20 / 3) = 0.7."""
    values = pd.Series([1.0, 3, 5, 7])
    assert members.explained(values, ["a", "a", "b", "b"]) == pytest.approx(0.7)
    assert members.explained(values, ["a", "b", "a", "b"]) == 0
    assert math.isnan(members.explained(values, list("abcd")))


def test_a_few_homes_explain_nothing():
    """Nine homes, of which those with PV save more: the median is told. Ten: what explains it."""
    saving, kind, owned = [1.0, 5] * 5, list("aabbaabbab"), ["no PV, no battery", "PV only"] * 5
    few, ten = (
        members.type_or_possession(
            pd.Series(saving[:n]), pd.Series(kind[:n]), np.array(owned[:n]), "per day"
        )
        for n in (9, 10)
    )
    assert few == "The median home saves 1.00 EUR per day"
    two, one = (
        members.type_or_possession(
            pd.Series(saving[:n]), pd.Series(kind[:n]), np.array(owned[:n]), "per day"
        )
        for n in (2, 1)
    )
    assert two == "The median home saves 3.00 EUR per day"
    assert one == "The home saves 1.00 EUR per day"
    assert ten.startswith("Owning PV accounts for 100 % of the differences in saving")


def test_what_tells_the_savings_of_homes_apart_is_what_differs_between_them():
    """Ten homes save 1 or 5. By halves all of it is explained; types at random explain nothing."""
    saving, halves = pd.Series([1.0, 5] * 5), ["b", "a"] * 5
    at_random = pd.Series(list("ccddccddcd"))
    all_alike, of_two = np.array(["PV only"] * 10), np.array(["PV only", "PV and battery"] * 5)
    told = members.type_or_possession
    assert told(saving, pd.Series(halves), all_alike, "per day") == (
        "The type of a home accounts for 100 % of the differences in saving"
    ), "all own the same"
    assert told(saving, at_random, of_two, "per day") == (
        "Owning a battery accounts for 100 % of the differences in saving, the type for 0 %"
    )
    assert told(saving, pd.Series(["c"] * 10), of_two, "per day").startswith("The median home")


@pytest.mark.parametrize(
    ("owned", "varies"),
    [
        ({"PV only", "PV and battery"}, "a battery"),
        ({"PV and battery", "battery only"}, "PV"),
        ({"no PV, no battery", "battery only"}, "a battery"),
        ({"no PV, no battery", "PV and battery"}, "PV or a battery"),
        (set(members.GROUPS), "PV or a battery"),
    ],
)
def test_what_some_homes_own_and_others_do_not(owned: set[str], varies: str):
    assert members.what_varies(owned) == varies


def test_a_home_belongs_to_the_group_of_what_it_owns():
    owned = pd.DataFrame(
        {"pv_capacity_kw": [0.5, 4, 0, 0], "battery_capacity_kwh": [0.5, 0, 10, 0]}
    )
    run: Any = SimpleNamespace(members=owned)
    told = ["PV and battery", "PV only", "battery only", "no PV, no battery"]
    assert members.groups(run).tolist() == told
    due = ["owns both", "owns PV", "owns battery", "owns neither"]
    assert members.group_colours(run).tolist() == [COLOUR[name] for name in due]


def test_rare_types_of_homes_are_gathered_and_stand_last():
    """Thirteen types, type 1 with one home, type 2 with two ...: eleven keep their names."""
    kinds = [f"type {n}" for n in range(1, 14) for _ in range(n)]
    run: Any = SimpleNamespace(
        timeline=Timeline(0, 48, 1.0),
        members=pd.DataFrame({"home_type": kinds, "pv_kwh": 4.0, "load_kwh": 6.0}),
        bills=pd.DataFrame({"saving": [2.0] * len(kinds)}),
    )
    table, order = members.by_home_type(run)
    assert order == [*(f"type {n}" for n in range(3, 14)), "others"]
    assert (table["type"] == "others").sum() == 1 + 2
    assert table[["PV", "load", "saving"]].drop_duplicates().to_numpy().tolist() == [[2, 3, 1]]
    run.members, run.bills = run.members[1:], run.bills[1:]
    assert "type 2" in members.by_home_type(run)[1], "twelve types are all named"


def test_a_type_is_not_praised_for_the_batteries_that_its_homes_lack(day: Results):
    table, _ = members.by_home_type(day)
    owned = members.explained(table["saving"], members.groups(day))
    assert owned > 2 * members.explained(table["saving"], table["type"])
    assert title("home_type_analysis", day).startswith("Owning a battery accounts for")


def test_the_words_of_quantities():
    assert style.amount(1971.171, "kWh") == "1,971 kWh"
    assert style.amount(-0.4567, "EUR", signed=True) == "\u22120.46 EUR"
    assert style.amount(-0.001, "EUR") == "0 EUR"
    assert style.share(1e-16, 1) == style.share(-1e-16, 1) == "0 %", "dust of floats"
    assert style.amount(12.34, "member-hours") == "12.3 member-hours"
    assert [style.share(p, 1000) for p in (0, 1, 123, 999, 1000)] == [
        "0 %",
        "< 1 %",
        "12 %",
        "> 99 %",
        "100 %",
    ]
    assert [style.amount(x, "EUR") for x in (9.996, 99.96, 0.004)] == [
        "10.00 EUR",
        "100.0 EUR",
        "0 EUR",
    ]
    assert style.amount(1234.5, "EUR", signed=True) == "+1,234 EUR"
    assert style.amount(0, "EUR", signed=True) == "0 EUR"
    assert style.share(-1, 4) == "\u221225 %" and style.share(1, 0) == "0 %"
    assert [style.Thousands()(x) for x in (1000, -12_345.6)] == ["1,000", "\u221212,346"]
    assert style.many(1, "battery", "batteries") == "1 battery"
    assert style.many(2000, "member") == "2,000 members"
