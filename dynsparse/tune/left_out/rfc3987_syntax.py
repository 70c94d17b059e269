"""What Ray's processes find instead of the package of this name: see LEFT_OUT in dynsparse/tune/ray_session.py."""

raise ImportError("left out of Ray's processes: compiling its grammar takes longer than all else that they import")
