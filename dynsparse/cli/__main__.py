"""`python -m dynsparse.cli` is `dynsparse`."""

from dynsparse.cli import main

main()
