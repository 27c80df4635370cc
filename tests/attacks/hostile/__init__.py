"""What runs inside the wall: an environment whose actions are attacks, and servers that are none of ours.

It is copied into the image of the tests and imports nothing of them.
"""
