from pdnopt.balancing.levels.runner import ZonedRunner
