"""Trying ways of making lists on people: who gets which, what each was shown, what came of it, and what one never shown would have done."""
