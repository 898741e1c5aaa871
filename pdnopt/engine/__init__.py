"""The engine: Pyomo algebra compiled once to arrays, solved by HiGHS term after term."""
