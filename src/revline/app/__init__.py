"""The only place that wires things together: settings to databases, configuration to connectors, rooms to doors."""
