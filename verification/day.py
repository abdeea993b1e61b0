"""The second reading of the synthetic day: sun, use and market price of each hour, from the settings alone.

Noise is drawn by the hour: what varies between homes or hours is the same in all steps of an hour. A data
file takes the place of sun and use, a price file that of the prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verification.findings import BoolArray, Findings, FloatArray, IntArray
from verification.folder import MARKET_PRICE, Saved, step_name
from verification.read import is_number
from verification.tables import LARGEST, ROUNDED

SECONDS_PER_DAY = 86_400


def check_day(saved: Saved, findings: Findings) -> None:
    """What the settings let the sun, the homes and the market price do."""
    if not saved.settings.took("data"):
        check_sun_and_use(saved, findings)
    if saved.settings.ours:
        check_forecast(saved, findings)
        if not saved.settings.took("prices"):
            check_price_of_the_hour(saved, findings)


# ------------------------------------------------------------------------------------ sun and use


def check_sun_and_use(saved: Saved, findings: Findings) -> None:
    """PV and load are what the settings allow: of our own runs those of each home at this hour of the day."""
    if not saved.settings.ours:
        check_largest(saved, findings)
        return
    begin = seconds_of_steps(saved) % SECONDS_PER_DAY
    check_sun(saved, begin / 3600, findings)
    check_load(saved, begin // 3600, findings)


def check_largest(saved: Saved, findings: Findings) -> None:
    """Another program may let the sun rise when it likes, on no larger roof and home than the settings have."""
    s = saved.settings
    sun = s.all_numbers("PV_SYSTEM_EFFICIENCY", "SEASON_FACTOR", "ROOF_VARIATION")
    use = s.all_numbers("LOAD_VARIATION", "MIN_LOAD", "TIME_STEP_DURATION")
    roofs, homes = s.numbers("PV_CAPACITY"), s.numbers("BASE_CONSUMPTION")
    pattern = s.numbers("LOAD_PATTERN")
    if not (sun and use and roofs and homes and pattern):
        return
    (efficiency, season, roof), (variation, least, hours) = sun, use
    most_pv = max(roofs) * efficiency * season * (1 + roof)
    most_load = max(max(homes) * max(pattern) * (1 + variation), least)
    for flow, kwh in (("pv_wh", most_pv), ("load_wh", most_load)):
        wh, most = saved.energy[flow], kwh * hours * 1000 + 1  # rounded
        words = f"{flow} is {{}}, at most {most:.0f} with these settings"
        findings.rows(wh > most, "synthetic day", saved.row_name, words, wh)


def check_sun(saved: Saved, begin: FloatArray, findings: Findings) -> None:
    """PV is that of a roof to the south, the east or the west, one and the same for all steps, below one sky.

    Full power is a half sine from 6 to 18 h, earlier for the east and later for the west. Each hour clouds
    take a part of it, the same part everywhere, and each roof varies.
    """
    names = ("PV_SYSTEM_EFFICIENCY", "SEASON_FACTOR", "CLOUD_MIN_TRANSMISSION", "ROOF_VARIATION")
    efficiency, season, clouds, varies, shift = saved.settings.all_numbers(
        *names, "ORIENTATION_SHIFT"
    )
    roofs = [member.told.get("pv_capacity_kw") for member in saved.members]
    if not all(map(is_number, roofs)):
        return  # homes.py tells a roof that is missing
    full_wh = np.array(roofs, np.float64) * efficiency * season * 1000
    hours = saved.settings.step_seconds / 3600
    ways = [sun_hours(begin - later, hours) for later in dict.fromkeys((0.0, -shift, shift))]
    pv, first = saved.energy["pv_wh"].reshape(saved.steps, len(roofs)), first_steps(saved)
    sun = sun_of_roofs(pv, full_wh, ways, first, clouds * (1 - varies), 1 + varies)

    bounds = sun.clear_wh * clouds * (1 - varies), sun.clear_wh * (1 + varies)
    tell_outside(saved, "pv_wh", *rounded(*bounds), findings)
    tell_other_shares(saved, sun, first, findings)
    check_sky(sun, clouds, varies, first, findings)


def sun_hours(begin: FloatArray, hours: float) -> FloatArray:
    """Hours of full power in steps that begin so many hours after midnight, and may end after the next."""
    full = np.zeros(len(begin))
    for time in (begin, begin - 24):
        a, b = (np.clip(moment - 6, 0, 12) * np.pi / 12 for moment in (time, time + hours))
        full += (np.cos(a) - np.cos(b)) * 12 / np.pi
    return full


@dataclass(frozen=True)
class Sun:
    """What PV tells of roofs and sky."""

    clear_wh: FloatArray  # without clouds, the way that each roof looks (T N)
    low: FloatArray  # share of it that came through clouds and roof in an hour, at least (H N)
    high: FloatArray  # and at most


def sun_of_roofs(
    pv: IntArray,
    full_wh: FloatArray,
    ways: Sequence[FloatArray],
    first: IntArray,
    least: float,
    most: float,
) -> Sun:
    """The way that fits each roof in most hours; where another fits as well, the shares of both.

    `full_wh` is an hour of full power of each roof (N), `ways` the hours of it in each step (T) for each
    way to look, `first` the steps with which hours begin (H); shares are between `least` and `most`.
    """
    hours, roofs = len(first), len(full_wh)
    clear = np.zeros(pv.shape)
    low, high = np.zeros((hours, roofs)), np.zeros((hours, roofs))
    fewest = np.full(roofs, hours + 1)
    for sun in ways:
        wh = sun[:, None] * full_wh
        least_seen, most_seen = shares(pv, wh, first)
        misfits = hours - can_be(least_seen, most_seen, least, most).sum(axis=0)
        better, same = misfits < fewest, misfits == fewest
        clear[:, better] = wh[:, better]
        low[:, better], high[:, better] = least_seen[:, better], most_seen[:, better]
        low[:, same] = np.minimum(low[:, same], least_seen[:, same])
        high[:, same] = np.maximum(high[:, same], most_seen[:, same])
        fewest = np.minimum(fewest, misfits)
    return Sun(clear, low, high)


def shares(
    part: IntArray, whole: IntArray | FloatArray, first: IntArray
) -> tuple[FloatArray, FloatArray]:
    """(least, most) of the one share that makes in all steps of an hour this part of the whole (H, ...); of a whole of 0
    any share does."""
    whole = np.maximum(whole, 1e-9)
    return (
        np.maximum.reduceat((part - ROUNDED) / whole, first),
        np.minimum.reduceat((part + ROUNDED) / whole, first),
    )


def can_be(low: FloatArray, high: FloatArray, least: float, most: float) -> BoolArray:
    """Where bounds leave a share between these two."""
    return np.asarray((low <= high) & (low <= most) & (high >= least))


def tell_other_shares(saved: Saved, sun: Sun, first: IntArray, findings: Findings) -> None:
    """All steps of an hour have the same share of the sun; where steps are hours this says nothing."""
    if len(first) == saved.steps:
        return
    words = "pv_wh is {}, no share of the sun explains this and the other steps of the hour"
    hour, roof = np.nonzero(sun.low > sun.high)
    wrong, pv = np.zeros(sun.clear_wh.shape, np.bool_), saved.energy["pv_wh"]
    wrong[first[hour], roof] = True
    findings.rows(wrong.ravel(), "synthetic day", saved.row_name, words, pv)


def check_sky(sun: Sun, least: float, varies: float, first: IntArray, findings: Findings) -> None:
    """Clouds are the same for all: what came through to two roofs differs by the roofs alone.

    A roof that fits no way to look in some hour has been told, and says nothing here.
    """
    told = can_be(sun.low, sun.high, least * (1 - varies), 1 + varies).all(axis=0)
    with np.errstate(divide="ignore"):
        low = np.where(told, sun.low / (1 + varies), 0)
        high = np.where(told, sun.high / (1 - varies), np.inf)
    hours, clearest, darkest = np.arange(len(first)), low.argmax(axis=1), high.argmin(axis=1)
    wrong = low[hours, clearest] > high[hours, darkest]
    words = "{:.3f} of a clear sky reached the roof of member {}, {:.3f} that of member {}"
    seen = sun.low[hours, clearest], clearest, sun.high[hours, darkest], darkest
    findings.rows(wrong, "clouds", lambda hour: step_name(int(first[hour])), words, *seen)


def check_load(saved: Saved, hour: IntArray, findings: Findings) -> None:
    """Load is that of the home's type at this hour, varied, one for the hour, and never below MIN_LOAD."""
    variation, least = saved.settings.all_numbers("LOAD_VARIATION", "MIN_LOAD")
    homes, pattern = (
        saved.settings.numbers("BASE_CONSUMPTION"),
        saved.settings.numbers("LOAD_PATTERN"),
    )
    types = {f"type {k}": kwh for k, kwh in enumerate(homes, 1)}
    names = [str(member.told.get("home_type")) for member in saved.members]
    if not set(names) <= set(types):
        return  # homes.py tells a type that there is not
    hours = saved.settings.step_seconds / 3600
    usual = np.array(pattern)[hour][:, None] * np.array([types[n] for n in names])
    kwh = (np.maximum(usual * (1 + sign * variation), least) for sign in (-1, 1))
    low, high = rounded(*(part * hours * 1000 for part in kwh))
    tell_outside(saved, "load_wh", low, high, findings)
    load = saved.energy["load_wh"].reshape(low.shape)
    other = (load != before_in_the_hour(saved, load)).ravel()
    words = "load_wh is {}, it was another in a step of this hour before"
    findings.rows(other, "synthetic day", saved.row_name, words, load.ravel())


def before_in_the_hour(saved: Saved, column: IntArray) -> IntArray:
    """What a column (T, ...) held in the step before; itself where an hour begins with the step."""
    before, first = np.roll(column, 1, axis=0), first_steps(saved)
    before[first] = column[first]
    return before


def seconds_of_steps(saved: Saved) -> IntArray:
    """When each step (T) begins, in seconds since midnight before the run."""
    return saved.settings.step_seconds * np.arange(saved.steps, dtype=np.int64)


def first_steps(saved: Saved) -> IntArray:
    """The steps (H) with which the hours of the clock begin: from midnight on, or as a data file has them."""
    hour = seconds_of_steps(saved) // 3600
    if saved.settings.took("data"):
        hour = saved.community["hour"]
    return np.flatnonzero(np.diff(hour, prepend=hour[0] - 1))


def rounded(least: FloatArray, most: FloatArray) -> tuple[IntArray, IntArray]:
    """The whole Wh from which and up to which a number between these two can be rounded."""
    bounds = np.ceil(least - ROUNDED), np.floor(most + ROUNDED)
    low, high = (np.clip(bound, 0, LARGEST).astype(np.int64) for bound in bounds)
    return low, high


def tell_outside(
    saved: Saved, flow: str, low: IntArray, high: IntArray, findings: Findings
) -> None:
    wh, words = saved.energy[flow], flow + " is {}, between {} and {} with these settings"
    low, high = low.ravel(), high.ravel()
    outside = (wh < low) | (wh > high)
    findings.rows(outside, "synthetic day", saved.row_name, words, wh, low, high)


# ------------------------------------------------------------------------------------------ prices


def check_forecast(saved: Saved, findings: Findings) -> None:
    """The forecast misses the market price by FORECAST_ERROR at most, by the same in all steps of an hour."""
    (error,) = saved.settings.all_numbers("FORECAST_ERROR")
    price, seen = saved.community[MARKET_PRICE], saved.community["price_forecast_microeur_per_kwh"]
    least, most = np.floor(price * (1 - error)), np.ceil(price * (1 + error))
    words = "forecast {}, market price {} micro-euro per kWh"
    wrong = (seen < least) | (seen > most)
    if saved.settings.took("prices"):  # which may change within the hour; the error does not
        wrong |= another_share(saved, seen, price)
    else:
        wrong |= seen != before_in_the_hour(saved, seen)
    findings.rows(wrong, "forecast", step_name, words, seen, price)


def another_share(saved: Saved, part: IntArray, whole: IntArray) -> BoolArray:
    """The first steps (T) of hours in which no one share of the whole explains all parts; rounded, from 0 up."""
    first, wrong = first_steps(saved), np.zeros(saved.steps, np.bool_)
    low, high = shares(part, whole, first)
    wrong[first] = low > high
    return wrong


def check_price_of_the_hour(saved: Saved, findings: Findings) -> None:
    """The market price varies around that of its hour as much as the settings say."""
    base, width = saved.settings.all_numbers("BASE_PRICE", "PRICE_VARIATION")
    pattern = saved.settings.numbers("PRICE_PATTERN")
    price = saved.community[MARKET_PRICE]
    usual = base * 1e6 * np.array(pattern)[np.clip(saved.community["hour"], 0, 23)]
    wrong = (price < np.floor(usual * (1 - width))) | (price > np.ceil(usual * (1 + width)))
    wrong |= price != before_in_the_hour(saved, price)
    words = "market price {}, usual at this hour {:.0f} micro-euro per kWh"
    findings.rows(wrong, "market price", step_name, words, price, usual)
