"""Dialogs: whatever acts asks here first. Each is loaded when it is first opened."""
