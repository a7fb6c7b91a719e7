"""How good each item is: what its picture and sound measure, and what people made of it."""
