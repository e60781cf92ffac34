"""Parts of what greenbench is inside other programs, such as its pytest plugin."""
