"""The way back: what became of a source object, told to its source and to those who subscribed."""
