"""How the work runs at scale: Ray graphs over shards, storage behind one module, resuming."""
