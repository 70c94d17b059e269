"""Tables of pruning studies: sparsity sweeps, lottery tickets, weight against unit pruning.

Each is a function from the DataFrame of `load_history` to a new DataFrame. The studies themselves are in
`dynsparse.studies`; this room only reads their rows.
"""
