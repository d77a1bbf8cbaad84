"""What Berth says to people: text and charts made of model values, without side effects."""
