"""Files: storage (local folders and object stores), atomic writes, arrays shared between processes.

All that is written to a run goes through `storage`, whose writers replace a file as a whole or not at all. Nothing here
knows what a trial is.
"""
