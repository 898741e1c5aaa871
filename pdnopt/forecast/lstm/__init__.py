"""One recurrent network for all circuits: `forecaster` serves it, `network`, `fitting` and `export` (torch) make it."""
