"""What can't go on: cases of single records, grouped by cause, with the money at risk. Knows no ERP and no posting."""
