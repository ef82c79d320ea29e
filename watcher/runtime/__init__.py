"""The loops over the ports, in the order of the data: intake, polling, delivery, with ownership before and upkeep beside them.

The loops wait, retry, and log. They decide nothing (that is `core`) and know no adapter.
"""
