"""The command line: ``pdnopt cases | validate | solve | sweep | place | forecast | risk | report``.

Exit codes: 0 done (for `solve`: a verified plan), 1 no usable plan, 2 bad input, 3 internal error.
Nothing heavy is imported before a command runs, so that ``pdnopt --help`` stays fast.
"""

from pdnopt.cli.app import app, main

__all__ = ["app", "main"]
