"""Recordings as cameras, phones and archives bring them: formats, streams, times, orientation, whole or cut off."""
