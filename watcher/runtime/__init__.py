"""The loops over the ports, in the order of the data: intake, polling, delivery; upkeep beside them, supervise round them.

They wait, retry and log; they decide nothing (that is `core`) and know no adapter.
"""
