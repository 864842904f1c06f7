"""Small programs for the house itself: pages made from the code, checks of the tree."""
