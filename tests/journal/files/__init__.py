"""Journals as earlier versions wrote them, and what is in them."""
