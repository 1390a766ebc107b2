"""A look at what scaling would have done with a recorded load: a course, a page, a what-if table."""
