"""An independent judge. Imports nothing from revline: raw files, configuration as data and the golden entries in, balances out."""
