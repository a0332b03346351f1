"""How the work runs at scale: Ray graphs over shards, storage behind one module, resuming."""

import os

# Ray reads this when it is imported: as on macOS and Windows, it then takes 127.0.0.1 for the machine's address, so
# that an embedded Ray cannot be reached from outside. Asked for in ray.init, 127.0.0.1 would become the outer address.
if not os.environ.get("RAY_ADDRESS"):
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
