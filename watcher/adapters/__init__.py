"""The only code that communicates with the outside: AWS, HTTP, files, databases.

An adapter makes one attempt and raises a named error when it fails. It never sleeps, loops until success, retries or
logs: the runtime does that for all adapters alike.
"""
