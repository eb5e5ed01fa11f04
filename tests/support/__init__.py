"""What the tests share: the world of guests, the product as a command, terminals."""
