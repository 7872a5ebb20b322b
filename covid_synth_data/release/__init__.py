"""Released datasets: manifest, shards, loading from a folder or the Hub, comparison of versions."""
