"""Faust's app without folders on disk."""

import faust


class DisklessApp(faust.App):
    """An app whose tables live in memory.

    Faust would make a folder for tables on disk in the working directory, where a worker may not be allowed
    to write.
    """

    def _create_directories(self) -> None:
        """Make no folder."""
