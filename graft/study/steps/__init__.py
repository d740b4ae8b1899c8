"""The steps of a study, a room for each: what it reads, writes and hashes, and its work and bytes for the plan."""
