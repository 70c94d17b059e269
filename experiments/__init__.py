"""One file, one question. `dynsparse show FILE` lists a file's trials, `dynsparse run FILE` trains them."""
