"""The loops over the ports, in the order of the data: intake, polling, delivery, with ownership before them and maintenance beside them.

The loops wait, retry, and log. They decide nothing (that is `core`) and import no adapter.
"""
