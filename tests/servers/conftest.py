"""Lets the modules of this folder find each other: tests are no package."""
