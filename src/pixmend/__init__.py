"""From a photo-reconstruction competition to a checked, scored and submitted file: the rooms and the front door."""
