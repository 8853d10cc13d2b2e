"""Validates files by a schema: standard input has the schema and the files, good and bad."""

import json
import sys
import tomllib

import jsonschema_rs

given = json.load(sys.stdin)
jsonschema_rs.meta.validate(given["schema"])
validator = jsonschema_rs.validator_for(given["schema"])
wrong = []
for file in given["good"]:
    wrong += [f"{error.message} in\n{file}" for error in validator.iter_errors(tomllib.loads(file))]
for file in given["bad"]:
    if validator.is_valid(tomllib.loads(file)):
        wrong.append(f"no mistake is found in\n{file}")
print("\n".join(wrong) or "as expected")
sys.exit(bool(wrong))
