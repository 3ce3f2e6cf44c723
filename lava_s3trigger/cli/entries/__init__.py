"""Reads trigger and job entries, with their places in files, and looks them up."""
