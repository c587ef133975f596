"""The functions as they are deployed, and the environments that they run in."""

from typing import Any

from local.cloud import Cloud
from tests.stack.waiting import eventually


def provisioning(provider: str) -> str:
    """What the template calls a provider's function, without the kind of resource."""
    return f"Provision{provider.title().replace('-', '')}"


def deployed_function(cloud: Cloud, name: str) -> dict[str, Any]:
    """What Lambda tells of the function that the template calls so. Raises ``ValueError`` where it is not one."""
    pages = cloud.client("lambda").get_paginator("list_functions").paginate()
    [function] = [one for page in pages for one in page["Functions"] if f"{name}Function" in one["FunctionName"]]
    return dict(function)


def end_environments(cloud: Cloud, provider: str) -> None:
    """Of a provider's function: the next call has a new one. They end when its memory is set, be it as it was."""
    functions, function = cloud.client("lambda"), deployed_function(cloud, provisioning(provider))
    name = {"FunctionName": function["FunctionName"]}
    functions.update_function_configuration(**name, MemorySize=function["MemorySize"])
    eventually(
        lambda: functions.get_function_configuration(**name),
        lambda now: (now["State"], now["LastUpdateStatus"]) == ("Active", "Successful"),
    )
