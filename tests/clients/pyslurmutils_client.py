"""pyslurmutils has classes that were made from Slurm's description of each version of its JSON: what `squeue --json`
says is read by them, and has every member that they know."""

import importlib
import json
import subprocess
import sys
import typing

from pydantic import BaseModel

ANSWERS = {39: "JobsResponse", 40: "OpenapiJobInfoResp", 41: "OpenapiJobInfoResp"}
ANSWERS |= {42: "OpenapiJobInfoResp", 43: "OpenapiJobInfoResp"}


def models(kind):
    """The classes that a member may be of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for part in typing.get_args(kind) for model in models(part)]


def missing(model, value, path=""):
    """Members that the class has and the answer does not."""
    if isinstance(value, list):
        return {name for item in value for name in missing(model, item, path + "[]")}
    if "root" in model.model_fields:
        return {name for part in models(model.model_fields["root"].annotation) for name in missing(part, value, path)}
    # What a job that waits does not have.
    if not isinstance(value, dict) or not value:
        return set()
    found = set()
    for name, field in model.model_fields.items():
        name = field.alias or name
        if name not in value:
            found.add(f"{path}.{name}")
        for part in models(field.annotation)[:1]:
            found |= missing(part, value.get(name), f"{path}.{name}")
    return found


def main():
    for words in (["--gpus=1", "--wrap=sleep 600"], ["-H", "--array=1-4%2", "--wrap=true"], ["--wrap=exit 3"]):
        subprocess.run(["sbatch", "--output=/dev/null", *words], check=True)
    for version, name in ANSWERS.items():
        asked = ["squeue", "--states=all", f"--json=v0.0.{version}"]
        answer = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
        model = getattr(importlib.import_module(f"pyslurmutils.client.rest.api.v0_0_{version}"), name)
        read = model.model_validate(answer)
        assert read.jobs, answer
        absent = missing(model, answer)
        assert not absent, (version, absent)


if __name__ == "__main__":
    sys.exit(main())
