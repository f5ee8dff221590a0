"""The wire contract: topics, messages and the broker's configuration.

Device and server meet here and nowhere else; this package imports nothing of ours. `README.md` beside this file is
the contract in prose.
"""
