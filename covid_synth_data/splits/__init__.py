"""Who is trained and tested on: classes, duplicates, leaks, and one protocol per paper."""
