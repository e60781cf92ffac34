"""What anybody's names become where people, terminals and other programs read them."""

from greenbench.text.clean import clean, cleaned, storable
from greenbench.text.streams import Printing, printing

__all__ = ["Printing", "clean", "cleaned", "printing", "storable"]
