"""Files: storage (local folders and object stores), atomic writes, arrays shared between processes.

All files of a run are written through `storage`, which replaces a file as a whole or not at all. Nothing here knows the
concept of a trial.
"""
