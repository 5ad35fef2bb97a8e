"""Prices, depth and candles, from whichever account has them."""
