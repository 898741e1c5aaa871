"""The small process of a power node: obeys signed set-points, has a rule of its own for when nobody leads, forecasts."""
