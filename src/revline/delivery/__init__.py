"""Documents on their way to far systems: marked before they are sent, settled by what came of it, exactly once in effect."""
