# SPDX-License-Identifier: GPL-2.0
"""Rates and times as tc(8) and wanem write them."""

RATES = {"gbit": 1e9, "mbit": 1e6, "kbit": 1e3}
TIMES = {"ms": 1e-3, "us": 1e-6, "s": 1}


def _parse(text, table):
    for suffix, factor in table.items():
        if text.endswith(suffix):
            return float(text[:-len(suffix)]) * factor
    raise ValueError(f"{text} has none of the units {', '.join(table)}")


def rate(text):
    """Bit/s."""
    return _parse(text, RATES)


def seconds(text):
    return _parse(text, TIMES)
