"""The client inside of other people's frameworks."""
