"""ferlib: the small library under the executable book on attention in facial expression recognition."""

__version__ = "0.2.0"
