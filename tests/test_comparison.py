"""Rules and regulators side by side: the same days for all, indices by their formulas, honest tables."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from conftest import make_settings, save_run
from matplotlib.figure import Figure
from test_plot_results import layout_faults

import main
import simulator
from errors import InputError
from extensions import compare_command
from extensions import comparison as c
from extensions import comparison_answers as answers
from extensions import comparison_plots as p
from extensions.optimizer import community_optimum
from figures.style import COLOUR

SMALL = {"NUM_PROSUMERS": 12, "TIME_STEPS": 24, "CONSENSUS": "none"}


@pytest.fixture(scope="module")
def cases() -> list[c.Case]:
    """Every rule on three seeds of a small community."""
    return c.compare(
        lambda seed: simulator.prepare(make_settings(SEED=seed, **SMALL)),
        list(c.MECHANISMS),
        ["maximize_renewable"],
        range(1, 4),
    )


def test_every_rule_meets_the_same_homes_weather_and_prices(cases: list[c.Case]) -> None:
    """Trap 15: being alone with the utility costs the same in all runs of a seed."""
    table = c.table_of(cases)
    assert (table.groupby("seed")["net_cost_alone_eur"].nunique() == 1).all()
    assert table.groupby("seed").size().tolist() == 3 * [len(c.MECHANISMS)]


def test_the_three_sharing_rules_differ_in_who_pays_not_in_what_all_pay(
    cases: list[c.Case],
) -> None:
    table = c.table_of(cases).set_index(["mechanism", "seed"])["community_cost_eur"]
    for name in ("supply_demand_ratio", "bill_sharing"):
        assert table[name].to_numpy() == pytest.approx(
            table["mid_market_rate"].to_numpy(), abs=1e-6
        )


def test_a_kwh_has_a_price_where_neighbours_pay_for_it(cases: list[c.Case]) -> None:
    """Under bill_sharing they share their bills instead; a price of 0 would count in means."""
    table = c.table_of(cases).groupby("mechanism")
    energy, price = table["p2p_kwh"].sum(), table["p2p_price_eur_per_kwh"]
    assert energy["bill_sharing"] > 0 == energy["none"]
    assert {rule for rule, prices in price if prices.notna().any()} == {
        *set(c.MECHANISMS) - {"bill_sharing", "none"}
    }


def test_nobody_trading_is_the_reference(cases: list[c.Case]) -> None:
    alone = [case for case in cases if case.row["mechanism"] == "none"]
    for case in alone:
        assert case.row["net_cost_eur"] == pytest.approx(case.row["net_cost_alone_eur"], abs=1e-9)
        assert case.row["value_tapping"] == pytest.approx(0, abs=1e-9)
        assert case.row["participation"] == 0


def test_value_tapping_lies_between_alone_and_the_optimum(cases: list[c.Case]) -> None:
    assert all(-1e-9 <= case.row["value_tapping"] <= 1 for case in cases)


def test_indices_by_hand() -> None:
    """Incomes 0, 1, 3: sum of |differences| over all ordered pairs = 2 (1 + 3 + 2) = 12."""
    values = np.array([0.0, 1.0, 3.0])
    assert c.absolute_differences(values) == 12
    assert c.gini(values) == pytest.approx(12 / (2 * 9 * (4 / 3)))
    assert c.equality(values) == pytest.approx(1 - 12 / (2 * 3 * 4))
    assert c.gini(np.array([-1.0, 0.5])) is None
    assert c.equality(np.zeros(4)) == 1
    assert c.value_tapping(70, 100, 50) == pytest.approx(0.6)
    assert c.value_tapping(70, 100, 100) is None


def test_the_indices_of_a_run_follow_from_its_files(cases: list[c.Case], tmp_path: Path) -> None:
    """Each index by its formula, in plain loops over what the same run saves (docs/models.md, "Indices")."""
    ratios, community = {}, simulator.prepare(make_settings(SEED=2, **SMALL))
    for rule in ("uniform", "bill_sharing", "none"):
        row = next(k.row for k in cases if k.row["mechanism"] == rule and k.row["seed"] == 2)
        changes = [f"--set={name}={value}" for name, value in SMALL.items()]
        folder = save_run(tmp_path / rule, *changes, "--seed=2", f"--set=MARKET_MECHANISM={rule}")
        with open(folder / "community_summary.csv", newline="") as file:
            steps = [{k: float(v or 0) for k, v in step.items()} for step in csv.DictReader(file)]
        members = json.loads((folder / "prosumers.json").read_text())
        worth = sum(step["market_price_eur_per_kwh"] for step in steps) / len(steps)
        here = [m["outside_eur"] + m["p2p_eur"] - worth * m["stored_change_kwh"] for m in members]
        alone = [m["alone_eur"] - worth * m["stored_change_alone_kwh"] for m in members]
        saved = [before - now for before, now in zip(alone, here, strict=True)]
        net, income = [abs(step["net_kwh"]) for step in steps], [max(here) - cost for cost in here]
        apart, spread = (sum(abs(a - b) for a in x for b in x) for x in (saved, income))
        bought = [
            sum(step[f"{name}_kwh"] for step in steps) for name in ("p2p", "market", "grid_import")
        ]
        stored = sum(m["stored_change_kwh"] for m in members)
        paid = community_optimum(community, 1000 * steps[-1]["stored_kwh"]).cost_eur
        best = paid - worth * stored
        assert abs(worth * stored) > 0.1, "what is stored is worth something"
        due = {
            "participation": sum(s > 1e-9 for s in saved) / len(saved),
            "equality": 1 - spread / (2 * len(saved) * sum(income)),
            "gini_savings": apart / (2 * len(saved) * sum(saved)) if sum(saved) > 1e-6 else None,
            "energy_balance": 1 - sum(net) / sum(s["pv_kwh"] + s["load_kwh"] for s in steps),
            "p2p_share": bought[0] / sum(bought),
            "net_cost_eur": sum(here),
            "optimum_net_cost_eur": best,
            "value_tapping": (sum(alone) - sum(here)) / (sum(alone) - best),
        }
        for name, value in due.items():
            assert row[name] == pytest.approx(value, abs=1e-5), f"{name} under {rule}"
        ratios[rule] = row["power_flatness"], max(net) / (sum(net) / len(net))
    told, highest = ratios["uniform"][0], 1 - ratios["none"][0]
    assert told == pytest.approx(1 - ratios["uniform"][1] / ratios["none"][1] * highest)
    flatness = [case.row["power_flatness"] for case in cases if case.row["seed"] == 2]
    assert min(flatness) == 0, "the highest peak of all is the measure"


def test_an_interval_is_students() -> None:
    """Four values 1, 2, 3, 4: mean 2.5, s = 1.291, t(0.975, 3) = 3.182: half width 2.054."""
    assert c.interval(pd.Series([1.0, 2, 3, 4])) == pytest.approx((2.5, 2.0543), abs=1e-4)


def test_the_command_writes_tables_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "comparison"
    arguments = ["--mechanisms", "midpoint,uniform", "--runs", "2", "--set", "NUM_PROSUMERS=8"]
    assert main.main(["compare", *arguments, "-o", str(folder)]) == 0
    with open(folder / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["mechanism"], row["seed"]) for row in rows] == [
        ("midpoint", "42"),
        ("uniform", "42"),
        ("midpoint", "43"),
        ("uniform", "43"),
    ]
    promised = (
        "mechanism objective seed community_cost_eur stored_change_value_eur net_cost_eur p2p_kwh "
    )
    promised += (
        "market_kwh grid_import_kwh grid_export_kwh community_import_kwh community_export_kwh "
    )
    promised += (
        "self_sufficiency self_consumption value_tapping participation equality energy_balance "
    )
    promised += "power_flatness gini_savings regulator_balance_eur"
    assert not set(promised.split()) - set(rows[0])
    text = (folder / "comparison.md").read_text()
    assert "Differences against midpoint" in text
    assert "python main.py compare --mechanisms midpoint,uniform" in text
    assert len(list((folder / "plots").glob("*.png"))) == 5
    told = capsys.readouterr().out
    assert max(map(len, told.replace(str(folder), "comparison").splitlines())) <= 80
    mean, half = c.interval(pd.DataFrame(rows).astype({"savings_eur": float})[::2]["savings_eur"])
    assert re.search(rf"midpoint .* {mean:.1f} ± {half:.1f} ", told)
    for name in ("comparison.md", "comparison.csv", "plots"):
        assert f"\n  {name}: " in told


def test_differences_are_told_of_where_there_are_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against the default, or against the first where it is not among the compared."""
    for rules, base, told in (
        ("none,midpoint", "midpoint", "the default"),
        ("midpoint", "", ""),
        ("none,uniform", "none", "none, maximize_renewable"),
    ):
        folder = tmp_path / rules
        words = ["compare", "--mechanisms", rules, "--runs", "1", "--no-plots", "-o", str(folder)]
        assert main.main([*words, "--steps", "2", "--set", "NUM_PROSUMERS=3"]) == 0
        against = re.findall("and the differences against (.*)", capsys.readouterr().out)
        assert against == [told] * bool(base)
        text = (folder / "comparison.md").read_text()
        assert re.findall("## Differences against (.*)", text) == (
            [f"{base}, maximize_renewable"] if base else []
        )
        missing = "The default, midpoint, maximize_renewable, is not among the compared."
        assert (missing in text) == (base == "none")
        assert "on 1 seed; one seed has no intervals." in text


def test_a_figure_that_a_seed_lacks_has_no_mean(rules: answers.Comparison) -> None:
    """Of savings that add up to nothing there is no Gini: the mean of the other seeds is that of good days."""
    saved = {"midpoint": (9.0, 1.0), "huang": (5.0, -5.0), "none": (0.0, 0.0)}
    cases = []
    for rule, of_seed in saved.items():
        for seed, eur in enumerate(of_seed):
            case = case_of(seed, eur, rule, {})
            row = dict.fromkeys(c.SHOWN, 0.5) | case.row
            row |= {name: 0.5 for name in c.INDICES if name not in row}
            members = np.array([0.0, eur])
            row["gini_savings"] = c.gini(members)
            cases.append(replace(case, row=row, savings_eur=members))
    text = c.markdown(c.table_of(cases), ("midpoint", "chaos"), "made")
    place = list(c.SHOWN).index("gini_savings") + 2
    ginis = [line.split("|")[1:][place].strip() for line in text.split("\n") if "| chaos |" in line]
    assert ginis == ["0.500 ± 0.000", "-", "-", "-", "-"]
    assert "A dash: a seed has no such figure" in text
    fig = drawn("lorenz_curves", answers.Comparison(cases, ("midpoint", "chaos")))
    assert fig.texts[0].get_text() == "Gini 0.50: how evenly the savings are spread"
    key = fig.legends[0]
    assert [text.get_text() for text in key.get_texts()] == ["midpoint: Gini 0.50"]
    told = "2 without a curve:\nnothing saved in some seed\n  huang\n  no trading"
    assert key.get_title().get_text() == told
    assert layout_faults(fig) == []


def test_a_lorenz_curve_far_below_zero_is_cut_and_the_axis_says_so() -> None:
    """Ten lose 9 each, one gains 100: the share of the ten is -900 %."""
    for losses, told in ((-9.0, ", lower parts cut off"), (-0.5, "")):
        case = case_of(1, 1.0, "midpoint", {})
        members = np.array([losses] * 10 + [100.0])
        row = case.row | {"gini_savings": c.gini(members)}
        data = answers.Comparison([replace(case, row=row, savings_eur=members)], ("midpoint", ""))
        (ax,) = drawn("lorenz_curves", data).axes
        assert ax.get_ylabel() == "Share of all savings (%)" + told
        assert ax.get_ylim()[0] >= -100


def test_seeds_that_share_a_data_files_days_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their intervals tell of quotes, not of other days."""
    data = ["--data", str(Path(main.__file__).parent / "examples" / "homes.csv"), "--steps", "3"]
    for words, there in ((data, True), (["--steps", "3"], False)):
        chosen = ["--mechanisms", "midpoint,none", "--runs", "2", "--no-plots"]
        assert main.main(["compare", *words, *chosen, "-o", str(tmp_path)]) == 0
        assert (" of the same days, those of the data" in capsys.readouterr().out) == there
        assert (c.SAME_DAYS in (tmp_path / "comparison.md").read_text()) == there
    cases = [case_of(seed, 1.0, "midpoint", {}) for seed in (1, 2)]
    one = answers.Comparison(cases, ("midpoint", "chaos"), same_days=True)
    assert one.means_over() == "Means over 2 seeds (same days)"


def test_a_rule_has_its_colour_in_every_comparison(rules: answers.Comparison) -> None:
    """Slides of one study must not contradict each other."""
    default = ("midpoint", "chaos")
    some = [case_of(1, 1.0, rule, {}) for rule in ("none", "huang", "midpoint")]
    few = answers.Comparison(some, default)
    for rule in few.rules:
        in_all = p.colour(rules, (rule, "maximize_renewable"))
        assert p.colour(few, (rule, "chaos")) == in_all
    assert p.colour(few, ("none", "chaos")) == p.COLOURS[-1], "grey"


def test_an_objective_has_its_colour_in_every_comparison(objectives: answers.Comparison) -> None:
    one = case_of(1, 1.0, "midpoint", {})
    some = [replace(one, row=one.row | {"objective": o}) for o in ("chaos", "maximize_p2p")]
    few = answers.Comparison(some, ("midpoint", "chaos"))
    for group in few.groups:
        assert p.colour(few, group) == p.colour(objectives, (group[0], group[1]))
        assert p.pen(few, group) == p.pen(objectives, group)


def many_groups(price: Callable[[int], float], at_noon: bool = True) -> answers.Comparison:
    """Thirty-two groups, each saving as many EUR as its number says, and trading at its price.

    At noon, or each rule in an hour of its own.
    """
    cases, shares = [], np.array([0.1, 0.9])
    for number, (rule, goal) in enumerate(itertools.product(c.MECHANISMS, c.STRATEGIES)):
        hour = 12 if at_noon else 8 + number // len(c.STRATEGIES)
        for seed in (1, 2):
            case = case_of(seed, float(number), rule, {hour: price(number)})
            row = dict.fromkeys([*c.SHOWN, *c.INDICES], 0.5) | case.row | {"objective": goal}
            row["gini_savings"] = 0.4
            cases.append(replace(case, row=row, savings_eur=(number + 1) * shares))
    return answers.Comparison(cases, ("midpoint", "chaos"), same_days=True)


@pytest.mark.parametrize("name", p.FIGURES)
def test_figures_of_many_groups_are_well_laid_out(name: str) -> None:
    """Of the same days, with the longest words that a subtitle can have."""
    for at_noon in (True, False):
        assert layout_faults(drawn(name, many_groups(lambda n: 0.1 + n / 99, at_noon))) == []


def test_the_cheapest_and_the_dearest_are_drawn_where_no_hour_is_common() -> None:
    """Beyond the sixteen by their place in the table: the dearest is the fourteenth, the cheapest the fifteenth."""
    data = many_groups(lambda n: {13: 0.9, 14: 0.1}.get(n, 0.2 + n / 1e4), at_noon=False)
    fig = drawn("price_by_hour", data)
    assert fig.texts[0].get_text().startswith("In no hour do neighbours trade")
    keys = [text.get_text() for text in fig.legends[0].get_texts()]
    assert len(keys) == 16
    assert {data.name(data.groups[13]), data.name(data.groups[14])} <= set(keys)


def test_prices_of_all_groups_count_also_where_not_all_are_drawn() -> None:
    """The dearest and the cheapest are among the last, beyond the sixteen that a figure shows."""
    data = many_groups(lambda number: {30: 0.01, 31: 0.9}.get(number, 0.2 + number / 1000))
    fig = drawn("price_by_hour", data)
    title, subtitle = (text.get_text() for text in fig.texts[:2])
    assert title.startswith("Average price where all trade: from 0.010 (no trading, p2p) ")
    assert title.endswith(" to 0.900 EUR/kWh (no trading, chaos)")
    assert "16 of 32 shown, both ends." in subtitle
    keys = [text.get_text() for text in fig.legends[0].get_texts()]
    assert len(keys) == 16
    assert {"no trading, p2p: 0.010", "no trading, chaos: 0.900"} <= set(keys)


def test_who_gains_and_who_loses_are_both_shown_where_not_all_are() -> None:
    data = many_groups(lambda number: 0.2)
    fig = drawn("savings_per_member", data)
    names = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    assert names[:2] == ["midpoint, renewable", "midpoint, profit"], "they save least"
    assert names[-1] == "no trading, chaos" and len(names) == 16
    assert "16 of 32 shown, both ends." in fig.texts[1].get_text()


def test_an_index_that_is_not_defined_is_said_to_be_drawn_at_the_centre() -> None:
    case = case_of(1, 1.0, "midpoint", {})
    known = case.row | dict.fromkeys(c.INDICES, 0.5)
    for row, told in ((known, False), (known | {"value_tapping": None}, True)):
        data = answers.Comparison([replace(case, row=row)], ("midpoint", "chaos"))
        subtitle = drawn("radar", data).texts[1].get_text()
        assert ("At the centre where not defined: 1." in subtitle) == told


def test_the_table_in_the_terminal_fits_into_80_columns(
    cases: list[c.Case], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all rules and regulators, and intervals as wide as few seeds make them."""
    monkeypatch.setenv("COLUMNS", "80")
    table = c.table_of(cases)
    wide = pd.concat([table, table.assign(objective="chaos", net_cost_eur=-1234.5, seed=99)])
    compare_command.print_means(wide)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines), "nothing is cut off"
    for rule in set(table["mechanism"]):
        assert any(line.startswith(rule) for line in lines)


@pytest.mark.parametrize(
    ("differences", "told"),
    [
        ([-1.0, -1.0, -1.0], "-100.0 ± 0.0*"),
        ([0.0, 0.0, 0.0], "+0.0 ± 0.0"),
        ([0.1, 0.2, 0.3], "+20.0 ± 24.8"),
        ([0.2, 0.2, 0.3], "+23.3 ± 14.3*"),
        ([0.2], "+20.0"),
    ],
)
def test_a_star_marks_a_difference_that_leaves_out_zero(
    differences: list[float], told: str
) -> None:
    """0.1 / sqrt(3) * 4.303 is 0.248; the same for all seeds is as certain as it can be, one seed is nothing."""
    assert c._cell(pd.Series(differences), "participation", star=True) == told


def test_the_tables_hold_means_and_differences_paired_by_seed(cases: list[c.Case]) -> None:
    """Of three seeds: half the 95 % interval is 4.302653 (Student, 2 degrees of freedom) sd / sqrt(3)."""
    table = c.table_of(cases)
    text = c.markdown(table, ("midpoint", "maximize_renewable"), "made")
    means, differences = text.split("## Differences against midpoint, maximize_renewable")
    heads = [head.strip() for head in means.split("| mechanism |")[1].split("\n")[0].split("|")]

    def cell(part: str, rule: str, head: str) -> str:
        (line,) = [line for line in part.split("\n") if line.startswith(f"| {rule} |")]
        return [field.strip() for field in line.split("|")][2:][heads.index(head)]

    def values(rule: str, name: str) -> list[float]:
        rows = table[table["mechanism"] == rule].sort_values("seed")
        return rows[name].tolist()

    assert sorted(set(table["seed"])) == [1, 2, 3], "the factor above is for three seeds"
    for head, name, scale, digits in (
        ("net cost (EUR)", "net_cost_eur", 1, 2),
        ("P2P share (%)", "p2p_share", 100, 1),
    ):
        for rule in ("uniform", "bill_sharing", "none"):
            pairs = list(zip(values(rule, name), values("midpoint", name), strict=True))
            for part, found, sign in (
                (means, [scale * here for here, _ in pairs], ""),
                (differences, [scale * (here - base) for here, base in pairs], "+"),
            ):
                mean, half = statistics.mean(found), 4.302653 * statistics.stdev(found) / 3**0.5
                star = "*" if sign and abs(mean) > half else ""
                due = f"{mean:{sign}.{digits}f} \u00b1 {half:.{digits}f}{star}"
                assert cell(part, rule, head) == due, f"{head} of {rule}"


# ---------------------------------------------------------------- figures


@pytest.fixture(scope="module")
def rules(cases: list[c.Case]) -> answers.Comparison:
    return answers.Comparison(cases, ("midpoint", "maximize_renewable"))


@pytest.fixture(scope="module")
def objectives() -> answers.Comparison:
    """Every objective under one rule."""
    return answers.Comparison(
        c.compare(
            lambda seed: simulator.prepare(make_settings(SEED=seed, **SMALL)),
            ["midpoint"],
            ["maximize_renewable", "maximize_profit", "maximize_p2p", "chaos"],
            range(1, 3),
        ),
        ("midpoint", "maximize_renewable"),
    )


@pytest.fixture(scope="module")
def both() -> answers.Comparison:
    """More groups than a figure can show."""
    return answers.Comparison(
        c.compare(
            lambda seed: simulator.prepare(make_settings(SEED=seed, **SMALL)),
            [name for name in c.MECHANISMS if name != "huang"],
            ["maximize_renewable", "maximize_profit", "chaos"],
            range(1, 3),
        ),
        ("midpoint", "maximize_renewable"),
    )


def drawn(name: str, data: answers.Comparison) -> Figure:
    with p.our_style():
        fig = p.FIGURES[name](data)
        fig.canvas.draw()
    return fig


@pytest.mark.parametrize("compared", ["rules", "objectives", "both"])
@pytest.mark.parametrize("name", p.FIGURES)
def test_figures_of_a_comparison_are_well_laid_out(
    name: str, compared: str, request: pytest.FixtureRequest
) -> None:
    assert layout_faults(drawn(name, request.getfixturevalue(compared))) == []


def test_a_users_own_style_does_not_change_the_figures_of_a_comparison(
    cases: list[c.Case], tmp_path: Path
) -> None:
    for folder, theirs in (("plain", {}), ("styled", {"savefig.bbox": "tight", "font.size": 30})):
        with matplotlib.rc_context(theirs):
            p.plot_all(cases, tmp_path / folder, ("midpoint", "maximize_renewable"))
    for name in p.FIGURES:
        plain, styled = ((tmp_path / f / f"{name}.png").read_bytes() for f in ("plain", "styled"))
        assert plain == styled


def test_titles_name_what_is_compared(
    rules: answers.Comparison, objectives: answers.Comparison
) -> None:
    for data, noun in ((rules, "rule"), (objectives, "objective")):
        title, subtitle, *_, indices = drawn("radar", data).texts
        assert title.get_text().startswith(f"No {noun} is best in all six indices; ")
        assert f"Filled: the {noun}." in subtitle.get_text()
        assert "power flatness (0: highest peak)" in indices.get_text()


def test_the_objectives_have_no_colour_of_an_energy(objectives: answers.Comparison) -> None:
    """Blue was P2P and orange PV in the figures of a run."""
    colours = {p.colour(objectives, group) for group in objectives.groups}
    others = {colour for name, colour in COLOUR.items() if name != "regulator"}
    assert len(colours) == len(objectives.groups) and not colours & others


def test_bill_sharing_is_explained_where_it_is_compared(
    rules: answers.Comparison, objectives: answers.Comparison
) -> None:
    for data, there in ((rules, True), (objectives, False)):
        fig = drawn("price_by_hour", data)
        assert ("Bill sharing" in fig.texts[1].get_text()) == there
        keys = [text.get_text() for text in fig.legends[0].get_texts()]
        assert keys and not [text for text in keys if text.startswith("bill sharing")]
    shared = ("bill_sharing", "maximize_renewable")
    assert rules.values(shared, "p2p_kwh").sum() > 0
    assert np.isnan(answers.hourly_price(rules, shared)).all()


def case_of(seed: int, savings_eur: float, rule: str, prices: dict[int, float]) -> c.Case:
    """A run that saved so much, and traded at these prices (EUR/kWh) in these hours."""
    row = {"mechanism": rule, "objective": "chaos", "seed": seed, "savings_eur": savings_eur}
    price = np.array([prices.get(hour, math.nan) for hour in range(24)])
    return c.Case(row, np.array([savings_eur]), price, np.arange(24), None)


@pytest.mark.parametrize(
    ("rules", "told"), [(3, "bill sharing, huang and uniform"), (4, "4 others")]
)
def test_a_title_counts_the_others_where_they_are_many(rules: int, told: str) -> None:
    """Named one by one they would shrink it below its subtitle."""
    names = ["bill_sharing", "huang", "uniform", "none"][:rules]
    cases = [case_of(seed, 10.0, "midpoint", {}) for seed in (1, 2)]
    cases += [case_of(seed, saved, n, {}) for n in names for seed, saved in ((1, 0.0), (2, 19.9))]
    sentence = answers.winning_sentence(answers.Comparison(cases, ("midpoint", "chaos")))
    assert sentence == f"Midpoint saves most: 10.0 EUR, but not provably more than {told}"


def test_a_rule_alone_saves_more_than_no_other() -> None:
    data = answers.Comparison([case_of(1, 10.0, "midpoint", {})], ("midpoint", "chaos"))
    assert answers.winning_sentence(data) == "Midpoint saves 10.0 EUR against being alone"


def test_where_hardly_anybody_trades_the_picture_of_prices_says_so() -> None:
    data = answers.Comparison([case_of(1, 0.0, "none", {})], ("midpoint", "chaos"))
    (ax,) = drawn("price_by_hour", data).axes
    assert [text.get_text() for text in ax.texts] == ["Hardly anything was traded"]


def test_an_hour_has_a_price_where_half_of_the_seeds_traded() -> None:
    sold = [{9: 0.1, 12: 0.2}, {9: 0.3}, {9: 0.2, 12: 0.4}, {18: 0.9}]
    cases = [case_of(seed, 1.0, "midpoint", prices) for seed, prices in enumerate(sold)]
    price = answers.hourly_price(
        answers.Comparison(cases, ("midpoint", "chaos")), ("midpoint", "chaos")
    )
    assert np.flatnonzero(np.isfinite(price)).tolist() == [9, 12]  # 18: one of four
    assert price[[9, 12]] == pytest.approx([0.2, 0.3])


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ((0.0, 0.1), "Midpoint saves most: 10.0 EUR against being alone"),
        ((0.0, 19.9), "Midpoint saves most: 10.0 EUR, but not provably more than no trading"),
        ((9.94, 9.94), "Midpoint saves most: 10.0 EUR against being alone"),
        ((9.96, 9.96), "All rules save alike: 10.0 EUR against being alone"),
        ((10.04, 10.04), "All rules save alike: 10.0 EUR against being alone"),
    ],
)
def test_who_wins_is_told_with_what_the_noise_allows(
    others: tuple[float, float], told: str
) -> None:
    """Two seeds' interval has 12.7 standard errors: 10 and 9.9 EUR less are a difference, 10 and -9.9 none.

    A difference of 0.4 % is none in practice, though it is the same in both seeds.
    """
    cases = [case_of(seed, 10.0, "midpoint", {}) for seed in (1, 2)]
    cases += [case_of(seed, saved, "none", {}) for seed, saved in enumerate(others, 1)]
    assert answers.winning_sentence(answers.Comparison(cases, ("midpoint", "chaos"))) == told


def test_rules_that_save_alike_win_together() -> None:
    """Those that differ by rounding only, whoever is a hundredth ahead; one seed proves nothing."""
    saved = {"midpoint": 107.01, "uniform": 107.02, "pay_as_bid": 107.0, "huang": 85.0}
    cases = [case_of(s, eur + s, rule, {}) for s in (0, 1) for rule, eur in saved.items()]
    default = ("midpoint", "chaos")
    who = "Midpoint, uniform and pay as bid save most, all alike"
    told = answers.winning_sentence(answers.Comparison(cases, default))
    assert told == f"{who}: 108 EUR against being alone"
    one_seed = answers.Comparison(cases[: len(saved)], default)
    assert answers.winning_sentence(one_seed) == f"{who}: 107 EUR in this one seed"
    assert one_seed.means_over().startswith("One seed")


def test_names_in_a_sentence() -> None:
    assert answers.listed(["a"], 3) == "a"
    assert answers.listed(["a", "b", "c"], 3) == "a, b and c"
    assert answers.listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_who_leads_in_most_indices() -> None:
    """Of six: the first leads in three, the second in four, of which they share one."""

    def data(**indices: list[float]) -> answers.Comparison:
        cases = [case_of(1, 1.0, rule, {}) for rule in indices]
        for case, values in zip(cases, indices.values(), strict=True):
            case.row.update(zip(c.INDICES, values, strict=True))
        return answers.Comparison(cases, ("midpoint", "chaos"))

    told = answers.leading_sentence(
        data(midpoint=[0.9, 0.9, 0.5, 0, 0, 0], huang=[0, 0, 0.5, 1, 1, 1])
    )
    assert told == "No rule is best in all six indices; huang leads in 4"
    told = answers.leading_sentence(
        data(midpoint=[0.9, 0.9, 0.9, 0, 0, 0], huang=[0, 0, 0, 1, 1, 1])
    )
    assert told.endswith("; midpoint and huang each lead in 3")
    told = answers.leading_sentence(data(midpoint=[0.9] * 6, huang=[0.1] * 6))
    assert told == "Midpoint leads in all six indices"
    told = answers.leading_sentence(data(midpoint=[0.9] * 6, uniform=[0.9] * 6, huang=[0.1] * 6))
    assert told == "Midpoint and uniform lead in all six indices"
    assert answers.leading_sentence(data(midpoint=[0.5] * 6)) == "Six indices of midpoint"
    told = answers.leading_sentence(data(midpoint=[0.5] * 6, huang=[0.501] * 6))
    assert told == "All rules are alike in all six indices"
    told = answers.leading_sentence(data(huang=[-19.9, *[0.9] * 5], none=[0.0, *[0.8] * 5]))
    assert told.endswith("; huang leads in 5"), (
        "a loss of 19.9 times what is possible is no tie with 0"
    )
    told = answers.leading_sentence(data(huang=[math.nan, *[0.9] * 5], none=[math.nan, *[0.8] * 5]))
    assert told == "Huang leads in all five indices", (
        "value tapping has no value where nothing can be saved"
    )


def test_prices_in_words() -> None:
    never = "In no hour do neighbours trade at a price under every rule"
    assert answers.cheapest_and_dearest({}, "rule") == never
    assert answers.cheapest_and_dearest({"a": 0.15}, "rule") == (
        "Neighbours trade at 0.150 EUR/kWh on average"
    )
    assert answers.cheapest_and_dearest({"a": 0.2, "b": 0.1, "c": 0.15}, "rule") == (
        "Average price where all trade: from 0.100 (b) to 0.200 EUR/kWh (a)"
    )


def test_prices_are_compared_in_the_hours_that_all_share() -> None:
    """The second trades in a dear hour more, and is no dearer for that."""
    means = answers.mean_prices(
        {"a": np.array([0.2, math.nan, 0.1]), "b": np.array([0.1, 0.9, 0.1])}
    )
    assert means == pytest.approx({"a": 0.15, "b": 0.1})
    assert (
        answers.mean_prices({"a": np.array([0.2, math.nan]), "b": np.array([math.nan, 0.9])}) == {}
    )
    assert answers.mean_prices({}) == {}


def test_the_title_of_the_savings_tells_the_median(objectives: answers.Comparison) -> None:
    medians = {g: np.median(objectives.savings(g)) for g in objectives.groups}
    best = max(medians, key=medians.__getitem__)
    told = drawn("savings_per_member", objectives).texts[0].get_text()
    assert told.startswith(f"The median member saves most with {objectives.name(best)}: ")
    assert f"{medians[best]:.2f} EUR" in told


@pytest.mark.parametrize(
    ("saved", "told"),
    [
        ({"midpoint": 0.0, "none": 0.0}, "saves the same with all rules: 0 EUR"),
        ({"midpoint": 0.04, "huang": 0.04, "none": 0.0}, "saves most with midpoint and huang, all alike: 0.04 EUR"),
        ({"none": 0.0, "huang": -1.0}, "saves most with no trading: 0 EUR"),
        ({"huang": -1.0}, "saves with huang: \u22121.00 EUR"),
    ],
)  # fmt: skip
def test_several_rules_may_save_the_median_member_most(saved: dict[str, float], told: str) -> None:
    data = answers.Comparison([case_of(1, 0, rule, {}) for rule in saved], ("midpoint", "chaos"))
    medians = {(rule, "chaos"): eur for rule, eur in saved.items()}
    assert answers.what_the_median_saves(data, medians) == f"The median member {told}"


def test_a_mean_of_hardly_anything_is_no_minus_nothing() -> None:
    assert c._cell(pd.Series([-0.001, -0.002]), "savings_eur").startswith("0.00 ")


def test_who_loses_what_rounding_leaves_has_not_lost() -> None:
    cases = [case_of(1, saved, rule, {}) for rule, saved in (("midpoint", -1e-6), ("huang", -1.0))]
    fig = drawn("savings_per_member", answers.Comparison(cases, ("midpoint", "chaos")))
    assert [t.get_text() for t in fig.axes[0].texts] == ["100 % lose", "0 % lose"]


def test_what_rounding_leaves_is_not_shared_unevenly() -> None:
    """Where every price is the same, members save parts of a thousandth of a cent, and lose as much."""
    assert c.gini(np.array([1e-9, 2e-9, -2e-9])) is None
    assert c.gini(np.array([0.0, 0.002])) == pytest.approx(0.5)


def test_lorenz_curves_agree_with_the_gini_of_the_tables(rules: answers.Comparison) -> None:
    keys = [text.get_text() for text in drawn("lorenz_curves", rules).legends[0].get_texts()]
    for group in rules.groups:
        mean = c.interval(rules.values(group, "gini_savings"))[0]
        if np.isnan(mean):
            continue
        curve = answers.mean_lorenz(rules, group)
        assert 1 - (curve[1:] + curve[:-1]).sum() / 100 == pytest.approx(mean, abs=0.005)
        assert f"{rules.name(group)}: Gini {mean:.2f}" in keys


def test_evenness_in_words() -> None:
    assert answers.evenness([]) == "Together nobody saved anything"
    assert answers.evenness([], runs=3).startswith("In some of the seeds there are no")
    assert answers.evenness([("a", 0.5)]).startswith("Gini 0.50")
    assert answers.evenness([("a", 0.5), ("b", 0.501)]).startswith("Savings are spread alike")
    assert "most evenly with a (Gini 0.30), least with b (0.50)" in answers.evenness(
        [("a", 0.3), ("b", 0.5)]
    )


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        (
            "--mechanisms",
            "midpoint,nonsense",
            "nonsense is not allowed; allowed are midpoint, uniform, ",
        ),
        (
            "--objectives",
            "x",
            "x is not allowed; allowed are maximize_renewable, maximize_profit, ",
        ),
        ("--runs", "0", "must be a whole number from 1 to 10,000"),
        ("--runs", "a", "must be a whole number from 1 to 10,000"),
        ("--runs", "10001", "must be a whole number from 1 to 10,000"),
        ("--runs", "1.5", "must be a whole number from 1 to 10,000"),
    ],
)
def test_bad_input_names_what_is_allowed(
    option: str, value: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["compare", option, value, "-o", str(tmp_path / "c")]) == 2
    headline, problem = capsys.readouterr().err.splitlines()
    assert headline == "error: a problem in the input"
    assert problem.startswith(f"  {option} {value}: {told}")
    assert not (tmp_path / "c").exists()


def test_from_python_wrong_names_and_seeds_that_are_not_used_are_refused() -> None:
    """Equal days would count as independent ones."""
    shared = simulator.prepare(make_settings())
    for rules, objectives, told in (
        (["midpont"], ["chaos"], "midpont: no such rule; there are midpoint, "),
        (["none"], ["maximise"], "maximise: no such objective; there are maximize_renewable, "),
        (["none"], ["chaos"], r"prepare\(7\) has SEED = 42"),
    ):
        with pytest.raises(InputError, match=told):
            c.compare(lambda seed: shared, rules, objectives, [7])


def test_all_problems_of_a_comparison_come_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    words = "--mechanisms foo --objectives x --runs x --set FOO=1 --data absent.csv"
    assert main.main(["compare", *words.split(), "-o", str(tmp_path / "file")]) == 2
    headline, *told = capsys.readouterr().err.strip().splitlines()
    assert headline == "error: problems in the input"
    assert told[0].startswith("  --mechanisms foo: foo is not allowed; allowed are midpoint, ")
    assert [line.strip().partition(":")[0] for line in told] == [
        "--mechanisms foo",
        "--objectives x",
        "--runs x",
        f"--output {tmp_path / 'file'}",
        "FOO",
        "--data absent.csv",
    ]


@pytest.mark.slow
def test_each_objective_scores_best_on_its_own_metric_beyond_noise() -> None:
    """30 seeds; the paired difference to every other objective has a 95 % interval that leaves out zero."""
    objectives = ["maximize_renewable", "maximize_profit", "maximize_p2p", "chaos"]
    table = c.table_of(
        c.compare(
            lambda seed: simulator.prepare(make_settings(SEED=seed, CONSENSUS="none")),
            ["midpoint"],
            objectives,
            range(1, 31),
        )
    ).set_index(["objective", "seed"])
    own = {
        "maximize_renewable": ("self_sufficiency", 1),
        "maximize_profit": ("net_cost_eur", -1),
        "maximize_p2p": ("p2p_share", 1),
    }
    for objective, (metric, sign) in own.items():
        for other in objectives:
            if other != objective:
                gain = sign * (table.loc[objective][metric] - table.loc[other][metric])
                mean, half = c.interval(gain)
                assert mean > half, f"{objective} against {other}: {mean} +- {half} {metric}"


def test_the_least_even_is_drawn_where_the_title_names_it() -> None:
    groups = [(f"rule {k}", "maximize_p2p") for k in range(32)]
    shown = p.both_ends(groups)
    assert len(shown) == p.MOST and (shown[0], shown[-1]) == (groups[0], groups[-1])
    assert p.both_ends(groups[:5]) == groups[:5]
