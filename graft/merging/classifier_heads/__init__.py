"""Classification heads for merged bodies, in closed form."""
