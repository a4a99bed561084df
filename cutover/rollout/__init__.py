"""The calendar of all slices: what is allowed, what is earliest, what stands in the way, and how it is shown."""
