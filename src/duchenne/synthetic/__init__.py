"""Rendered faces with exact labels, written as prepared data; nothing here looks at real recordings."""
