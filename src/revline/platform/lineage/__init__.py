"""Names of things and the walk from any of them, both ways, hop by hop through a port each room implements."""
