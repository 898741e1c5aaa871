"""Equation blocks that formulations share: sets and numbers, radial structure, flow, supply, service, continuity."""
