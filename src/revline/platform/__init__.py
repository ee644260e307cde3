"""What every room stands on. Holds no accounting."""
