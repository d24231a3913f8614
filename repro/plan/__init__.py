"""How long will it take, on how many cards, and what stands in the way?"""
