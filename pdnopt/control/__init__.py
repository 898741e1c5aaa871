"""What stands between readings and commands: what is believed, what is planned, who may act, and what if all that fails."""
