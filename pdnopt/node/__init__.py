"""The small process of a power node: obeys signed set-points, goes by its own rule when nobody leads, forecasts its circuits."""
