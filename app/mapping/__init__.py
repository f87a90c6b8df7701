"""Maps a profile to the values of a contact. Pure."""
