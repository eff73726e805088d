"""The pages of docs/ that are written from the code: the tables that would be wrong a week after a hand wrote them."""
