"""The pure core: values and types every room shares. Knows no database, no network, no clock and no other room."""
