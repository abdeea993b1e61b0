"""What verify makes of huang's orders, against books that were worked out by hand.

The last pair that meets, best with best, sets both prices and does not trade; what stands before it does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from verification.reduction import NOBODY, reduced
from verification.tables import BUYER, NEUTRAL, NO_LIMIT, SELLER

Book = tuple[list[tuple[int, int]], list[tuple[int, int]]]  # bids and asks: (Wh, limit)


def trading(books: list[Book]) -> tuple[Any, int, int]:
    """prosumer_trading.csv of these books, one for each step, with as many members as the largest needs."""
    members = max(len(bids) + len(asks) for bids, asks in books) + 1
    rows = []
    for bids, asks in books:
        orders = [(BUYER, *bid) for bid in bids] + [(SELLER, *ask) for ask in asks]
        rows += orders + [(NEUTRAL, 0, NO_LIMIT)] * (members - len(orders))
    role, wh, limit = np.array(rows).T
    columns = {"role": role, "order_wh": wh, "limit_price_microeur_per_kwh": limit}
    return columns, len(books), members


@pytest.mark.parametrize(
    ("bids", "asks", "prices", "traded"),
    [
        pytest.param([], [], (NOBODY, NOBODY), (0, 0), id="nobody"),
        pytest.param([(100, 9)], [], (NOBODY, NOBODY), (0, 0), id="no seller"),
        pytest.param([(100, 4)], [(100, 5)], (NOBODY, NOBODY), (0, 0), id="no bid meets an ask"),
        pytest.param([(100, 5)], [(100, 5)], (5, 5), (0, 0), id="equal limits meet"),
        pytest.param(
            [(100, 9)], [(100, 1)], (9, 1), (0, 0), id="one pair sets prices, none trades"
        ),
        pytest.param(
            [(100, 9), (100, 8)], [(100, 1), (100, 2)], (8, 2), (100, 100), id="the last pair stays"
        ),
        pytest.param(
            [(100, 9), (100, 8)], [(50, 0), (100, 1)], (8, 1), (50, 50), id="prices next to nothing"
        ),
        pytest.param(
            [(100, 9), (100, 8)], [(100, 1), (100, 8)], (8, 8), (100, 100), id="at one price, too"
        ),
        pytest.param(
            [(100, 9), (50, 8)], [(70, 1), (80, 2)], (8, 2), (70, 70), id="the shorter side decides"
        ),
        pytest.param(
            [(100, 9), (100, 3)], [(250, 2)], (3, 2), (0, 0), id="one ask stands against both bids"
        ),
        pytest.param(
            [(100, 9), (100, 3)], [(100, 2), (100, 4)], (9, 2), (0, 0), id="the second pair parts"
        ),
        pytest.param(
            [(30, 9), (20, 7), (10, 7)], [(90, 2), (5, 6)], (7, 2), (0, 0), id="one ask before all"
        ),
        pytest.param(
            [(30, 9), (20, 7), (10, 7)],
            [(40, 1), (90, 2)],
            (7, 2),
            (40, 40),
            id="of two equal bids one trades, which is enough for the first ask",
        ),
        pytest.param(
            [(30, 9), (20, 7), (10, 7)],
            [(90, 1), (90, 2)],
            (7, 1),
            (0, 0),
            id="an ask before all others",
        ),
        pytest.param(
            [(30, 9), (20, 7), (10, 7)],
            [(55, 1), (90, 2)],
            (7, 2),
            (40, 50),
            id="of two equal bids either may stay",
        ),
        pytest.param(
            [(30, 9), (20, 7), (50, 7)],
            [(10, 1), (25, 2), (25, 7), (90, 8)],
            (7, 7),
            (30, 35),
            id="of two equal bids one may be beyond the crossing",
        ),
    ],
)
def test_the_pair_at_the_crossing_sets_the_prices_and_those_before_it_trade(
    bids: list[tuple[int, int]],
    asks: list[tuple[int, int]],
    prices: tuple[int, int],
    traded: tuple[int, int],
) -> None:
    """In the second step as in the first, and whatever stands in the others."""
    other: Book = ([(1000, 20), (2000, 10)], [(500, 1), (2500, 3)])
    for books in ([(bids, asks)], [other, (bids, asks)], [(bids, asks), other], [other] * 2):
        found = reduced(*trading(books))
        for step, book in enumerate(books):
            here = (prices, traded) if book == (bids, asks) else ((10, 3), (500, 500))
            assert (found.bid[step], found.ask[step]) == here[0]
            assert (found.least_wh[step], found.most_wh[step]) == here[1]


def test_orders_stand_in_any_order_in_the_file() -> None:
    bids, asks = [(100, 7), (100, 9), (100, 8)], [(100, 3), (100, 1), (100, 2)]
    found = reduced(*trading([(bids, asks)]))
    assert (found.bid[0], found.ask[0], found.least_wh[0], found.most_wh[0]) == (7, 3, 200, 200)
