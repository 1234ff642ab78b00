"""`python -m limner.api.openapi` prints the schema of the API as JSON."""

from __future__ import annotations

import json
import sys

from limner.api.app import routes

if __name__ == "__main__":
    json.dump(routes().openapi(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
