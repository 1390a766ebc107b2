"""Messages of other systems: `.proto` files after their published interfaces, and the code made of them."""
