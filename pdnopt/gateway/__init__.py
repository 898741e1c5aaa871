"""The device's side: the guard in front of every actuation, and the gateway process beside devices that have none."""
