"""Output for people: printed tables, files, the HTML report, notebooks and the browser of trials.

Numbers stay numbers until they are formatted here. Each function takes the DataFrame of `load`.
"""
