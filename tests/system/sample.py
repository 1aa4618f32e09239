"""Order lines in the Superstore's columns, made up: as many customers and orders as a test wants."""

from __future__ import annotations

import csv
import random
from datetime import date, timedelta
from pathlib import Path

COLUMNS = (
    "Order ID",
    "Order Date",
    "Customer ID",
    "Customer Name",
    "Country",
    "City",
    "State",
    "Postal Code",
    "Sales",
)


def write(file: Path, mark: str, *, customers: int, orders: int) -> Path:
    """Write the CSV; every customer has at least one order, an order has one to four lines, ids begin with `mark`."""
    dice = random.Random(mark)
    with file.open("w", encoding="utf-8", newline="") as text:
        rows = csv.DictWriter(text, COLUMNS)
        rows.writeheader()
        for number in range(orders):
            customer = number if number < customers else dice.randrange(customers)
            day = date(2014, 1, 1) + timedelta(days=dice.randrange(1400))
            for _ in range(dice.randint(1, 4)):
                rows.writerow(
                    {
                        "Order ID": f"{mark}-{day.year}-{number:06d}",
                        "Order Date": day.isoformat(),
                        "Customer ID": f"{mark}-{customer:05d}",
                        "Customer Name": f"Ada Customer{customer}",
                        "Country": "United States",
                        "City": "Henderson",
                        "State": "Kentucky",
                        "Postal Code": "42420",
                        "Sales": f"{dice.uniform(1, 900):.4f}",
                    }
                )
    return file
