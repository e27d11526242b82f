"""Makes a store of Humbaba of what cedar-agent was filled with.

    python agent.py SCHEMA DATA POLICIES STORE

The files are what was sent to `PUT /v1/schema`, `/v1/data` and `/v1/policies`, or what `GET` gives.
"""

import json, pathlib, sys


def convert(schema, data, policies, store):
    store = pathlib.Path(store)
    store.mkdir(parents=True)
    (store / "app.cedarschema.json").write_text(pathlib.Path(schema).read_text())
    (store / "app.cedarentities.json").write_text(pathlib.Path(data).read_text())
    for policy in json.loads(pathlib.Path(policies).read_text()):
        text = f'@id({json.dumps(policy["id"])})\n{policy["content"]}\n'
        (store / f'{policy["id"]}.cedar').write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    convert(*sys.argv[1:])
