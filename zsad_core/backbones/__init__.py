"""open_clip configurations of the backbones that this package trains itself."""
