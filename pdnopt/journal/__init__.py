"""What happened, on a disk: the one memory that a controller has after a restart."""

from pdnopt.journal.book import Journal, OpenCommand
from pdnopt.journal.disk import Disk, JournalError, SystemDisk
from pdnopt.journal.past import Past, read_past

__all__ = ["Disk", "Journal", "JournalError", "OpenCommand", "Past", "SystemDisk", "read_past"]
